"""The progress board: bounded, monotonous, alive."""

from __future__ import annotations

import asyncio

import pytest

from services.media import progress
from services.media.ports import Preview, RenderProgress
from services.media.progress import JobProgress, JobWarning, ProgressBoard


async def _finished() -> None:
    return None


def step_of(news: object) -> JobProgress:
    assert isinstance(news, JobProgress)
    return news


async def test_a_slow_watcher_sees_the_newest_step_only() -> None:
    board = ProgressBoard()
    work = asyncio.create_task(asyncio.Event().wait())
    watching = board.watch(work)
    board.report(RenderProgress("executing", 0.1))
    assert step_of(await anext(watching)).fraction == pytest.approx(0.09)
    for step in range(1000):
        board.report(RenderProgress("executing", 0.1 + step / 2000))
    async with asyncio.timeout(1):
        assert step_of(await anext(watching)).fraction == pytest.approx(0.9 * (0.1 + 999 / 2000))
    work.cancel()


async def test_a_fraction_never_goes_back() -> None:
    board = ProgressBoard()
    done = asyncio.create_task(_finished())
    await done
    board.report(RenderProgress("executing", 0.8))
    board.report(RenderProgress("queued", 0.0, queue_position=3))
    (latest,) = [step_of(step) async for step in board.watch(done)]
    assert latest.fraction == pytest.approx(0.72)
    assert (latest.phase, latest.queue_position) == ("queued", 3)


@pytest.mark.parametrize("fraction", [-1.0, 0.0, 0.5, 1.0, 7.0])
async def test_a_backends_part_stays_below_the_recordings(fraction: float) -> None:
    board = ProgressBoard()
    done = asyncio.create_task(_finished())
    await done
    board.report(RenderProgress("executing", fraction))
    (latest,) = [step_of(step) async for step in board.watch(done)]
    assert 0.0 <= latest.fraction <= progress.BACKEND_SHARE


@pytest.mark.parametrize("total", [None, 1000])
async def test_sent_is_not_yet_recorded(total: int | None) -> None:
    board = ProgressBoard()
    done = asyncio.create_task(_finished())
    await done
    for size in (0, 500, 1000, 10**12):
        board.recording(size, total)
        (latest,) = [step_of(step) async for step in board.watch(done)]
        assert progress.BACKEND_SHARE <= latest.fraction < 1.0
    board.recorded()
    (latest,) = [step_of(step) async for step in board.watch(done)]
    assert latest.fraction == 1.0


async def test_the_same_step_twice_is_told_once() -> None:
    board = ProgressBoard()
    work = asyncio.create_task(asyncio.Event().wait())
    watching = board.watch(work)
    board.report(RenderProgress("executing", 0.5))
    await anext(watching)
    waiting = asyncio.ensure_future(anext(watching))
    board.report(RenderProgress("executing", 0.5))
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    board.report(RenderProgress("executing", 0.6))
    assert step_of(await waiting).fraction == pytest.approx(0.54)
    work.cancel()


async def test_silence_is_broken_by_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress.HEARTBEAT_SECONDS < 10
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.02)
    board = ProgressBoard()
    work = asyncio.create_task(asyncio.Event().wait())
    watching = board.watch(work)
    board.report(RenderProgress("executing", 0.5))
    first = await anext(watching)
    assert await anext(watching) == first
    work.cancel()


async def test_previews_and_warnings_come_between_and_only_the_newest_of_them() -> None:
    board = ProgressBoard()
    done = asyncio.create_task(_finished())
    await done
    for number in range(100):
        preview = Preview("image/jpeg", bytes([number]))
        board.report(RenderProgress("executing", number / 100, preview=preview))
    warning = JobWarning("DEADLINE_NEAR", "60 s are left of 300 s")
    board.warn(warning)
    news = [told async for told in board.watch(done)]
    assert news[0] == Preview("image/jpeg", bytes([99]))
    assert step_of(news[1]).fraction == pytest.approx(0.891)
    assert news[2:] == [warning]


async def test_an_attempt_is_not_forgotten_while_the_bytes_are_recorded() -> None:
    board = ProgressBoard()
    done = asyncio.create_task(_finished())
    await done
    board.report(RenderProgress("executing", 0.5, attempt=2))
    board.recording(1, 2)
    (latest,) = [step_of(step) async for step in board.watch(done)]
    assert (latest.phase, latest.attempt) == ("recording", 2)
