"""The life of a process: settings, logs, signals, owned tasks, drain, end.

Siblings stop together, what they depend on stops after them: composition adds tasks to the
program's group and opens resources on its stack; at the end drain callbacks run first, then the
server stops, then the tasks are cancelled, then the stack closes in reverse order.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import resource
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Protocol, TypeVar

from services.kit.errors import ArtlabError
from services.kit.log import configure_logging, facts
from services.kit.seclusion import refuse_readers
from services.kit.settings import Settings, SettingsError, exit_for_settings, load_settings

log = logging.getLogger(__name__)

DRAIN_SECONDS = 3.0
STOP_GRACE_SECONDS = 3.0

S = TypeVar("S", bound=Settings)


class Server(Protocol):
    """What a program serves: a GrpcServer, or anything that listens and stops like one."""

    async def start(self, address: str) -> int:
        """Listen on host:port and return the port. Raises Unavailable PORT_IN_USE."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, give open ones the grace, then cancel them."""
        ...


class Program:
    """What a composition needs from the process it runs in."""

    def __init__(self, service: str, group: asyncio.TaskGroup, stack: AsyncExitStack) -> None:
        self.service = service
        self.stack = stack
        self.stopping = asyncio.Event()
        self._group = group
        self._tasks: list[asyncio.Task[Any]] = []
        self._drains: list[Callable[[], Awaitable[None]]] = []

    def add_task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run work until the program ends; if it fails, the program fails."""
        task = self._group.create_task(work, name=name)
        self._tasks.append(task)
        return task

    def on_drain(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call this first when the program is told to stop; it has 3 seconds."""
        self._drains.append(callback)

    async def serve(self, server: Server, host: str, port: int) -> None:
        """Serve until a signal, then drain and stop."""
        bound = await server.start(f"{host}:{port}")
        log.info("serving", extra=facts(host=host, port=bound))
        try:
            await self.stopping.wait()
        finally:
            await self.drain()
            await server.stop(STOP_GRACE_SECONDS)

    async def drain(self) -> None:
        """Run the drain callbacks; one that fails or hangs does not stop the others."""
        for callback in self._drains:
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    await callback()
            except Exception as error:
                log.warning("drain failed", exc_info=error)

    def cancel_tasks(self) -> None:
        """Cancel every task that was added."""
        for task in self._tasks:
            task.cancel()


def run_program(
    service: str, kind: type[S], compose: Callable[[S, Program], Awaitable[None]]
) -> None:
    """Run one service until SIGTERM or SIGINT.

    Exits with 78 and one line for wrong settings, with 1 and one line when it cannot start.
    """
    # Keys are in the environment and in memory, and children work on bytes of strangers.
    refuse_readers()
    try:
        settings = load_settings(service, kind)
    except SettingsError as error:
        exit_for_settings(error)
    configure_logging(service, settings.log_level)
    faulthandler.enable()
    # A core file would hold what people typed.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    failed = False
    try:
        asyncio.run(_live(service, settings, compose))
    except* ArtlabError as group:
        failed = True
        for found in _leaves(group):
            log.error(
                "cannot go on", extra=facts(reason=getattr(found, "reason", ""), why=str(found))
            )
    if failed:
        raise SystemExit(1)


async def _live(
    service: str, settings: S, compose: Callable[[S, Program], Awaitable[None]]
) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        program = Program(service, group, stack)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, program.stopping.set)
        try:
            await compose(settings, program)
        finally:
            program.cancel_tasks()
    log.info("stopped")


def _leaves(group: BaseExceptionGroup[ArtlabError]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
