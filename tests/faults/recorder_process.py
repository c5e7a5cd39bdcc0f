"""The recorder as a real process, to be killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0
# By default a channel that came too early waits for a second.
IMPATIENT = [
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 20),
]


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class RecorderProcess:
    """``python -m services.recorder`` over one root, as an argument of `under` if that is given."""

    def __init__(
        self, root: Path, log: Path, *, under: Sequence[str] = (), **settings: str
    ) -> None:
        self.port = free_port()
        self.target = f"127.0.0.1:{self.port}"
        environ = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
        environ |= {
            "ARTLAB_RECORDER_PORT": str(self.port),
            "ARTLAB_RECORDER_ROOT": str(root),
            # It would write beside what a test counts, fills or breaks.
            "ARTLAB_RECORDER_TRACKER": "none",
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'protos'}",
        }
        environ |= {f"ARTLAB_RECORDER_{key.upper()}": value for key, value in settings.items()}
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*under, sys.executable, "-m", "services.recorder"],
                cwd=REPOSITORY,
                env=environ,
                stderr=stderr,
            )

    def wait_until_serving(self, seconds: float = START_SECONDS) -> None:
        """Return once its health service says so."""
        deadline = time.monotonic() + seconds
        with grpc.insecure_channel(self.target, IMPATIENT) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    raise AssertionError(f"ended with {self.process.returncode}")
                try:
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=1, wait_for_ready=True)
                    return
                except grpc.RpcError:
                    continue
        raise AssertionError("does not serve")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(10)
