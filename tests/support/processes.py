"""The six services as real processes, for tests that need all of Artlab."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.cli.fleet import Fleet
from services.cli.log_files import tail
from services.cli.ports import free_ports
from services.cli.wiring import SERVICES, wire

START_SECONDS = 40.0


@dataclass(frozen=True)
class Running:
    """Six services that answer. Nothing is restarted unless the test does it."""

    fleet: Fleet
    root: Path
    logs: Path

    @property
    def url(self) -> str:
        """The gateway's address, without a slash at its end."""
        return f"http://{self.fleet.specs['gateway'].target}"

    @property
    def urls(self) -> dict[str, str]:
        """Where each service listens: host:port, and the gateway's address."""
        return {
            name: self.url if name == "gateway" else self.target(name) for name in self.fleet.specs
        }

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each service; another one after a restart."""
        return {name: child.pid for name, child in self.fleet.children.items()}

    def target(self, service: str) -> str:
        """host:port of a service."""
        return self.fleet.specs[service].target

    def run_folder(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.root / run_id

    def log(self, service: str) -> str:
        """All that a service has written so far."""
        return self.fleet.log(service).read_text()

    async def kill(self, service: str, number: int = signal.SIGKILL) -> int:
        """Send a signal that ends the service (SIGKILL, SIGTERM); return its exit code."""
        child = self.fleet.children[service]
        child.send(number)
        return await child.wait()

    def send(self, service: str, number: int) -> None:
        """Send a signal that does not end the service, such as SIGSTOP and SIGCONT."""
        self.fleet.children[service].send(number)

    async def start(self, service: str) -> None:
        """Start a service that has ended, on the same port, and wait until it answers."""
        await self.fleet.start(service)
        await self.fleet.wait_ready(service, START_SECONDS)

    async def restart(self, service: str, number: int = signal.SIGKILL) -> None:
        """End the service with a signal and start it again; it answers when this returns."""
        if self.fleet.children[service].exit_code is None:
            await self.kill(service, number)
        await self.start(service)


@asynccontextmanager
async def six_services(tmp_path: Path, **env: str) -> AsyncIterator[Running]:
    """Start all services on free ports, with runs and logs below tmp_path; stop them at the end.

    `env` are settings under their full names, e.g. ``ARTLAB_SAFETY_LEVEL="kids"``; those of the
    person who runs the tests do not count. When the test fails, the end of every log is shown.
    """
    root, logs = tmp_path / "runs", tmp_path / "logs"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ARTLAB_")}
    state = {"ARTLAB_RECORDER_ROOT": str(root), "ARTLAB_MEDIA_STATE": str(tmp_path / "media")}
    environ = {**inherited, **state, **env}
    async with Fleet(wire(environ, free_ports(SERVICES)), logs) as fleet:
        try:
            await fleet.start_all(START_SECONDS)
            yield Running(fleet, Path(environ["ARTLAB_RECORDER_ROOT"]), logs)
        except BaseException:
            for name in fleet.specs:
                print(f"--- {name}", *tail(fleet.log(name), 30), sep="\n", file=sys.stderr)
            raise
