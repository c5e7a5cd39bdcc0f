"""What dies is started again, what keeps dying ends all, and nothing outlives the supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.cli.fleet import Fleet, ServiceFailed
from services.cli.supervisor import Supervisor
from tests.integration.cli.stand_ins import is_alive, listens, stand_ins
from tests.support.eventually import eventually


@dataclass
class Supervised:
    process: asyncio.subprocess.Process
    pids: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(15):
            text = (await self.process.stdout.readline()).decode().rstrip()
        self.lines.append(text)
        return text

    async def end(self, within_seconds: float) -> int:
        async with asyncio.timeout(within_seconds):
            return await self.process.wait()

    def anybody_alive(self) -> bool:
        return any(is_alive(pid) for pid in self.pids.values())


@asynccontextmanager
async def supervised(logs: Path, **modes: str) -> AsyncIterator[Supervised]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.cli.supervise",
        str(logs),
        *(f"{name}={mode}" for name, mode in modes.items()),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    found = Supervised(process)
    try:
        while (line := await found.line()) != "watching":
            assert line, "it ended early"
            name, _, rest = line.partition(" ")
            if name != "report":
                found.pids[name] = int(rest)
        yield found
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        for pid in found.pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def test_sigkill_of_the_supervisor_leaves_no_orphans(tmp_path: Path) -> None:
    async with supervised(tmp_path, recorder="serve", media="deaf", gateway="serve") as found:
        assert len(found.pids) == 3
        found.process.kill()
        await eventually(lambda: not found.anybody_alive(), 5, "the end of the children")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_everything_within_ten_seconds(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with supervised(tmp_path, recorder="serve", media="deaf", gateway="serve") as found:
        began = time.monotonic()
        found.process.send_signal(number)
        assert await found.end(10) == 0
        assert time.monotonic() - began < 10
        assert not found.anybody_alive()


async def test_under_nohup_the_end_of_the_terminal_stops_nothing(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with supervised(tmp_path, recorder="serve") as found:
            found.process.send_signal(signal.SIGHUP)
            os.kill(found.pids["recorder"], signal.SIGKILL)
            await found.line()
            assert "ready" in await found.line()
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    async with supervised(tmp_path, recorder="deaf", media="deaf", gateway="deaf") as found:
        began = time.monotonic()
        found.process.send_signal(signal.SIGINT)
        found.process.send_signal(signal.SIGTERM)
        assert await found.end(10) == 130
        assert time.monotonic() - began < 2
        assert not found.anybody_alive()


async def test_ctrl_c_of_the_terminal_reaches_the_supervisor_only(tmp_path: Path) -> None:
    async with supervised(tmp_path, recorder="serve", gateway="serve") as found:
        os.killpg(found.process.pid, signal.SIGINT)
        assert await found.end(10) == 0
    for name in found.pids:
        # One orderly stop, by the supervisor's SIGTERM: a KeyboardInterrupt would show.
        assert (tmp_path / f"{name}.log").read_text().count("stopped at") == 1
        assert "Interrupt" not in (tmp_path / f"{name}.log").read_text()


async def test_a_child_that_dies_is_started_again_and_it_tells_so(tmp_path: Path) -> None:
    async with supervised(tmp_path, recorder="serve", gateway="serve") as found:
        os.kill(found.pids["recorder"], signal.SIGKILL)
        assert await found.line() == (
            "report recorder ended with signal SIGKILL; starting it again in 0.5 s"
        )
        assert (await found.line()).startswith("report recorder ready after")
        assert is_alive(found.pids["gateway"])


async def test_a_child_that_keeps_dying_ends_the_watch(tmp_path: Path) -> None:
    reports: list[str] = []
    async with Fleet(
        stand_ins(recorder="serve", media="serve"),
        tmp_path,
        report=lambda _, what: reports.append(what),
        is_ready=listens,
    ) as fleet:
        await fleet.start_all(10)
        watch = asyncio.create_task(Supervisor(fleet, 10, _ImpatientPolicy).watch())
        while not watch.done():
            fleet.children["media"].send(signal.SIGKILL)
            await asyncio.sleep(0.01)
        with pytest.raises(ServiceFailed, match=r"media .* after 5 restarts in a minute"):
            await watch
        assert sum("starting it again" in report for report in reports) == 5


class _ImpatientPolicy:
    """Counts like the real one, without the waits."""

    def __init__(self) -> None:
        self._left = 5

    def next_delay(self, now: float) -> float | None:
        self._left -= 1
        return 0.01 if self._left >= 0 else None
