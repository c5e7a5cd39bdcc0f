"""How claims are held and lost, and what a process knows of the line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.kit.clock import ManualClock, SystemClock
from services.kit.errors import ArtlabError, Unavailable
from services.kit.ids import RunId
from services.orchestrator.claims import Claim, ClaimableRuns
from services.orchestrator.queue.heart import Heart
from services.orchestrator.queue.port import Lost
from services.orchestrator.queue.view import QueueView
from tests.fakes.peers import FakeRecorder
from tests.support.eventually import eventually

CLAIM = Claim("one", 0.5)
AWAY = Unavailable("RECORDER_UNAVAILABLE", "away")


@dataclass
class Renewals(FakeRecorder):
    """Answers renewals as told, and keeps what was asked."""

    asked: list[dict[RunId, int]] = field(default_factory=list)
    lost: dict[RunId, str] = field(default_factory=dict)
    away: ArtlabError | None = None

    async def renew(self, claim: Claim, held: Mapping[RunId, int]) -> Mapping[RunId, str]:
        self.asked.append(dict(held))
        if self.away is not None:
            raise self.away
        return {run: why for run, why in self.lost.items() if run in held}


@asynccontextmanager
async def _beating(recorder: Renewals, expire_seconds: float = 0.0) -> AsyncIterator[Heart]:
    heart = Heart(recorder, CLAIM, SystemClock(), expire_seconds)
    task = asyncio.create_task(heart.beat())
    yield heart
    task.cancel()


async def test_all_claims_are_renewed_by_one_call() -> None:
    recorder = Renewals()
    async with _beating(recorder) as heart:
        ids = [RunId.new() for _ in range(50)]
        for number, run_id in enumerate(ids, start=1):
            heart.hold(run_id, number)
        await eventually(lambda: len(recorder.asked) >= 2)
    assert recorder.asked[0] == {run_id: number for number, run_id in enumerate(ids, start=1)}


async def test_one_lost_claim_leaves_the_others() -> None:
    recorder = Renewals()
    async with _beating(recorder) as heart:
        first, second = heart.hold(RunId.new(), 1), heart.hold(RunId.new(), 1)
        recorder.lost = {first.run_id: "RUN_FINAL"}
        assert await first.lost() is Lost.RUN_FINAL
        asked = len(recorder.asked)
        await eventually(lambda: len(recorder.asked) > asked)
        assert recorder.asked[-1] == {second.run_id: 1}


async def test_a_reason_nobody_knows_is_a_loss() -> None:
    recorder = Renewals()
    async with _beating(recorder) as heart:
        run = heart.hold(RunId.new(), 1)
        recorder.lost = {run.run_id: "SOMETHING_NEW"}
        assert await run.lost() is Lost.FENCED


async def test_a_recorder_that_is_away_for_a_moment_loses_nothing() -> None:
    recorder = Renewals(away=AWAY)
    async with _beating(recorder, expire_seconds=60.0) as heart:
        run = heart.hold(RunId.new(), 1)
        await eventually(lambda: len(recorder.asked) >= 4)
        recorder.away = None
        asked = len(recorder.asked)
        await eventually(lambda: len(recorder.asked) >= asked + 2)
        assert heart.holds(run.run_id)


async def test_a_claim_nothing_is_heard_of_expires() -> None:
    recorder = Renewals(away=AWAY)
    async with _beating(recorder) as heart:
        run = heart.hold(RunId.new(), 1)
        assert await run.lost() is Lost.EXPIRED
        assert not heart.holds(run.run_id)


async def test_a_defect_does_not_stop_the_heart() -> None:
    recorder = Renewals()
    async with _beating(recorder) as heart:
        run = heart.hold(RunId.new(), 1)
        recorder.away = ValueError("a defect")  # type: ignore[assignment]
        await eventually(lambda: len(recorder.asked) >= 2)
        recorder.away, recorder.lost = None, {run.run_id: "FENCED"}
        assert await run.lost() is Lost.FENCED


async def test_a_run_that_is_given_back_is_renewed_no_more() -> None:
    recorder = Renewals()
    heart = Heart(recorder, CLAIM, SystemClock(), 0.0)
    run = heart.hold(RunId.new(), 1)
    recorder.owners[run.run_id], recorder.epochs[run.run_id] = "one", 1
    await run.release(3.0)
    assert recorder.delays == {run.run_id: 3.0}
    assert heart.held == 0


async def test_the_line_is_read_once_for_all_who_ask_at_once() -> None:
    class Slow(FakeRecorder):
        looks = 0

        async def claimable(self, limit: int) -> ClaimableRuns:
            Slow.looks += 1
            await asyncio.sleep(0)
            return ClaimableRuns((), 0, {"anna": 2})

    clock = ManualClock()
    view = QueueView(Slow(), clock)
    await asyncio.gather(*(view.look(1.0) for _ in range(20)))
    assert Slow.looks == 1
    view.added("anna")
    view.added("ben")
    assert (view.open_runs(), view.open_runs("anna"), view.open_runs("ben")) == (4, 3, 1)
    view.withdrawn("ben")
    view.withdrawn("ben")
    assert (view.open_runs(), view.open_runs("ben")) == (3, 0)
    clock.advance(2.0)
    await view.look(1.0)
    # What was added is in the record by now.
    assert (Slow.looks, view.open_runs()) == (2, 2)
