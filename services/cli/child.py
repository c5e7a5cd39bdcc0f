"""One service as a process of its own: started, watched, ended, never orphaned."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from services.cli import lifeline
from services.cli.log_files import open_log
from services.cli.wiring import ServiceSpec


class Child:
    """A running (or ended) process of a service."""

    def __init__(self, spec: ServiceSpec, log: Path, process: asyncio.subprocess.Process) -> None:
        self.spec = spec
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What it ended with (minus the signal's number if by a signal); None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return await self._process.wait()

    def send(self, number: int) -> None:
        """Send it a signal; nothing happens when it is gone."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it and whatever it started."""
        # The group may outlive its leader, and its id is not given away before it is empty.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


async def start_child(spec: ServiceSpec, log: Path) -> Child:
    """Start a service in a process group of its own, its output appended to the log.

    The group keeps a terminal's Ctrl-C away from it: the supervisor decides who stops when.
    """
    descriptor = open_log(log)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            lifeline.__file__,
            str(os.getpid()),
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=dict(spec.environment),
            process_group=0,
        )
    finally:
        os.close(descriptor)
    return Child(spec, log, process)


def describe_exit(code: int) -> str:
    """The exit code in words: ``exit code 1`` or ``signal SIGKILL``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
