"""What a child that decodes strangers' bytes can take, and what becomes of one that takes more."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.kit.errors import InvalidArgument
from services.kit.limited_child import LimitedProcessError, Limits, Why
from services.kit.limited_process import LimitedProcesses
from tests.support.eventually import eventually

# The kernel counts whole seconds of the processor, and the first one is free.
LIMITS = Limits(
    memory_bytes=256 << 20, cpu_seconds=0, wall_seconds=1.8, answer_bytes=1 << 20, waiting=1
)
TASK = "tests.support.limited_tasks:obedient"


@pytest.fixture
async def processes() -> AsyncIterator[LimitedProcesses]:
    async with LimitedProcesses(TASK, LIMITS) as found:
        yield found


async def pid_of(processes: LimitedProcesses) -> int:
    return int(await processes.call(b"pid"))


async def fails(processes: LimitedProcesses, request: bytes) -> LimitedProcessError:
    with pytest.raises(LimitedProcessError) as caught:
        await processes.call(request)
    return caught.value


async def test_one_child_stays_for_the_next_call(processes: LimitedProcesses) -> None:
    first = await pid_of(processes)
    assert first != os.getpid()
    assert await pid_of(processes) == first
    await processes.aclose()
    assert not psutil.pid_exists(first)


async def test_a_child_is_replaced_after_its_share_of_calls() -> None:
    limits = Limits(256 << 20, 1, 2.5, 1 << 20, calls=2)
    async with LimitedProcesses(TASK, limits) as processes:
        pids = [await pid_of(processes) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_a_child_knows_no_secret_of_the_environment(
    processes: LimitedProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTLAB_SAFETY_VISION_API_KEY", "sk-secret")
    names = (await processes.call(b"environment")).decode().split("\n")
    assert not [name for name in names if name.startswith("ARTLAB_")]


async def test_files_are_handed_over_for_reading_only(processes: LimitedProcesses) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"bytes of a picture")
        file.flush()
        reading = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
        try:
            assert await processes.call(b"read", [reading]) == b"bytes of a picture"
            assert "OSError" in (await fails_to_write(processes, reading)).place
        finally:
            os.close(reading)


async def fails_to_write(processes: LimitedProcesses, file: int) -> LimitedProcessError:
    with pytest.raises(LimitedProcessError) as caught:
        await processes.call(b"write", [file])
    return caught.value


async def test_what_the_task_refuses_arrives_as_it_was_raised(processes: LimitedProcesses) -> None:
    pid = await pid_of(processes)
    with pytest.raises(InvalidArgument) as caught:
        await processes.call(b"refuse")
    assert (caught.value.reason, caught.value.field) == ("MEDIA_MALFORMED", "data")
    assert await pid_of(processes) == pid


async def test_a_crash_tells_its_place_and_not_its_words(
    processes: LimitedProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    error = await fails(processes, b"crash secret words")
    assert error.why is Why.BROKEN
    assert "ValueError at " in error.place
    assert "limited_tasks.py" in error.place
    assert "secret" not in f"{error}{caplog.text}"


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (b"fill 1000000000", Why.MEMORY),
        (b"spin", Why.DEADLINE),
        (b"sleep", Why.DEADLINE),
        (b"die", Why.KILLED),
        # It hangs up and lives on.
        (b"hang", Why.BROKEN),
        (b"size 2000000", Why.BROKEN),
    ],
)
async def test_a_child_that_takes_too_much_is_gone_and_the_next_one_works(
    processes: LimitedProcesses, request_: bytes, why: Why
) -> None:
    before = await pid_of(processes)
    assert (await fails(processes, request_)).why is why
    assert not psutil.pid_exists(before)
    assert await pid_of(processes) != before


async def test_a_child_that_died_in_its_sleep_is_not_asked(processes: LimitedProcesses) -> None:
    before = await pid_of(processes)
    os.kill(before, 9)
    await eventually(lambda: not psutil.pid_exists(before))
    assert await pid_of(processes) != before


async def test_when_the_caller_goes_the_child_goes(processes: LimitedProcesses) -> None:
    pid = await pid_of(processes)
    call = asyncio.create_task(processes.call(b"sleep"))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not psutil.pid_exists(pid)
    assert await pid_of(processes) != pid


async def test_no_more_wait_than_may(processes: LimitedProcesses) -> None:
    await pid_of(processes)
    calls = [asyncio.create_task(processes.call(b"sleep")) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await fails(processes, b"pid")).why is Why.BUSY
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_a_task_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    async with LimitedProcesses("tests.support.limited_tasks:without_model", LIMITS) as processes:
        with pytest.raises(LimitedProcessError) as caught:
            await processes.load()
    assert "FileNotFoundError" in caught.value.place
    assert "secret" not in caught.value.place
