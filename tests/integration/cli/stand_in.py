"""A small process in place of a service, for the supervisor's tests.

    python stand_in.py PORT MODE

Listens on PORT and writes one line when it gets SIGTERM. MODE: `serve`; `deaf` (ignores SIGTERM);
`die` (writes a line and ends with 7 before it listens); `mute` (never listens); `parent` (starts a
child of its own, whose pid it prints).
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time


def main(port: int, mode: str) -> None:
    print(f"stand-in {mode}", flush=True)
    if mode == "die":
        print("cannot open the palette", flush=True)
        raise SystemExit(7)
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: stop())
    if mode == "parent":
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        print(f"grandchild {grandchild.pid}", flush=True)
    if mode == "mute":
        time.sleep(300)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(16)
        while True:
            listener.accept()[0].close()


def stop() -> None:
    print(f"stopped at {time.monotonic():.6f}", flush=True)
    raise SystemExit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
