"""Keeps the services running: one that dies is started again, one that keeps dying ends all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from services.cli.child import describe_exit
from services.cli.domain.restarts import MAX_RESTARTS, RestartPolicy
from services.cli.fleet import Fleet, ServiceFailed, first_failure
from services.cli.log_files import bound_log

LOG_CHECK_SECONDS = 10.0


class Policy(Protocol):
    """Decides about restarts of one service."""

    def next_delay(self, now: float) -> float | None:
        """Seconds to wait before the next start; None to give up."""
        ...


class Supervisor:
    """Watches over the processes of a fleet that was started."""

    def __init__(
        self,
        fleet: Fleet,
        start_seconds: float,
        new_policy: Callable[[], Policy] = RestartPolicy,
    ) -> None:
        self._fleet = fleet
        self._start_seconds = start_seconds
        self._new_policy = new_policy

    async def watch(self) -> None:
        """Run until cancelled. Raises ServiceFailed when a service died too often."""
        with first_failure():
            async with asyncio.TaskGroup() as group:
                group.create_task(self._bound_logs())
                for name in self._fleet.specs:
                    group.create_task(self._keep(name))

    async def _keep(self, name: str) -> None:
        policy = self._new_policy()
        while True:
            child = self._fleet.children[name]
            ended = describe_exit(await child.wait())
            # Children of the dead one would hold its port.
            child.kill()
            delay = policy.next_delay(time.monotonic())
            if delay is None:
                why = f"ended with {ended}, after {MAX_RESTARTS} restarts in a minute"
                raise ServiceFailed(name, why, child.log)
            self._fleet.report(name, f"ended with {ended}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            await self._fleet.start(name)
            await self._await_ready(name)

    async def _await_ready(self, name: str) -> None:
        try:
            await self._fleet.wait_ready(name, self._start_seconds)
        except ServiceFailed as failed:
            self._fleet.report(name, failed.why)
            # One that hangs counts as one that died.
            self._fleet.children[name].kill()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_SECONDS)
            for name in self._fleet.specs:
                await asyncio.to_thread(bound_log, self._fleet.log(name))
