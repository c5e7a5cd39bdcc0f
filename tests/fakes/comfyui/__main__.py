"""The fake as a process: `python -m tests.fakes.comfyui --port 8188 --output-bytes 200000000`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from pathlib import Path

from tests.fakes.comfyui.nodes import real_nodes
from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import fake_comfyui


class Ledger:
    """What was executed, beyond the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, prompt_id: str, event: str) -> None:
        """Add a line; it is there when this returns, whoever is killed then."""
        line = {"prompt_id": prompt_id, "event": event, "life": os.getpid(), "at": time.time()}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


async def _serve(arguments: argparse.Namespace) -> None:
    script = Script(
        node_seconds=arguments.node_seconds,
        step_seconds=arguments.step_seconds,
        output_bytes=arguments.output_bytes,
        output_file=arguments.output_file,
    )
    nodes = real_nodes(arguments.object_info) if arguments.object_info else None
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with fake_comfyui(
        arguments.directory,
        script=script,
        nodes=nodes,
        port=arguments.port,
        host=arguments.host,
    ) as fake:
        if arguments.ledger is not None:
            fake.worker.on_execution = Ledger(arguments.ledger).write
        print(f"fake ComfyUI on {fake.url}", flush=True)
        await stop.wait()


def main() -> None:
    """Parse the arguments and serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.comfyui", description=__doc__)
    parser.add_argument("--port", type=int, default=8188, help="0 takes any free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--output-bytes", type=int, help="size of every file it makes")
    parser.add_argument("--output-file", type=Path, help="what it makes, whatever is asked for")
    parser.add_argument("--node-seconds", type=float, default=0.0)
    parser.add_argument("--step-seconds", type=float, default=0.0)
    parser.add_argument(
        "--ledger", type=Path, help="file for a line about the begin and end of every execution"
    )
    parser.add_argument("--directory", type=Path, help="where output/ is; else a temporary one")
    parser.add_argument("--object-info", type=Path, help="condensed definitions of a real ComfyUI")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
