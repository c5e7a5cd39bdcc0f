"""Who drives a run, and what becomes of it when that changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.kit.errors import ResourceExhausted
from services.kit.ids import RunId
from services.orchestrator.claims import Claim
from services.orchestrator.domain.plan import RunRequest
from services.orchestrator.domain.run import OutputOffer, Recipe, RecordedRun
from services.orchestrator.loading import TAKE_OVERS
from services.orchestrator.run_in_work import Services
from services.orchestrator.supervisor import Supervisor
from tests.fakes.peers import FakeInterception, FakeMedia, FakeRecorder, FakeSafety
from tests.support.eventually import eventually
from tests.support.supervised import supervise

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
REQUEST = RunRequest(RUN, "dada", "Eine Blume", "anna")
DADA = Recipe("dada", 1, True, True, False, (), "image")
TTL = 1.0


@dataclass
class Orchestrator:
    """One of several on one recorder, with peers of its own."""

    recorder: FakeRecorder
    supervisor: Supervisor
    media: FakeMedia
    interception: FakeInterception

    async def final(self, run_id: RunId = RUN) -> str:
        await eventually(lambda: self.recorder.runs[run_id].is_final)
        return self.recorder.state(run_id)


def _orchestrator(
    recorder: FakeRecorder | None = None, *, seats: int = 4, of_person: int = 100
) -> Orchestrator:
    recorder = recorder or FakeRecorder()
    media, interception = FakeMedia(), FakeInterception(DADA)
    services = Services(recorder, FakeSafety(), interception, media)
    supervisor = supervise(services, max_runs=seats, max_runs_per_person=of_person, ttl_seconds=TTL)
    return Orchestrator(recorder, supervisor, media, interception)


async def _left_in_stage_4(one: Orchestrator) -> None:
    one.media.frozen = True
    await one.supervisor.start(REQUEST)
    await one.media.started.wait()


async def test_a_run_that_is_handed_over_goes_on_where_it_stood() -> None:
    first = _orchestrator()
    await _left_in_stage_4(first)
    before = list(first.recorder.types)
    await first.supervisor.drain()
    second = _orchestrator(first.recorder)
    assert await second.final() == "succeeded"
    assert first.recorder.types == before
    assert second.interception.asked == []
    assert [index for index, *_ in second.media.made] == [1]
    await second.supervisor.drain()


async def test_runs_beyond_the_seats_wait_and_are_driven_in_turn() -> None:
    one = _orchestrator(seats=1)
    one.media.frozen = True
    await one.supervisor.start(REQUEST)
    await one.media.started.wait()
    others = [RunId.new() for _ in range(3)]
    for run_id in others:
        await one.supervisor.start(replace(REQUEST, run_id=run_id))
    assert {one.recorder.state(run_id) for run_id in others} == {"pending"}
    one.media.frozen = False
    await one.supervisor.cancel(RUN)
    for run_id in others:
        assert await one.final(run_id) == "succeeded"
    await one.supervisor.drain()


async def test_a_person_with_nothing_in_work_comes_before_one_with_much() -> None:
    one = _orchestrator(seats=1)
    one.media.frozen = True
    await one.supervisor.start(REQUEST)
    await one.media.started.wait()
    of_anna = [RunId.new() for _ in range(3)]
    for run_id in of_anna:
        await one.supervisor.start(replace(REQUEST, run_id=run_id))
    of_ben = RunId.new()
    await one.supervisor.start(replace(REQUEST, run_id=of_ben, user_id="ben"))
    one.media.frozen = False
    await one.supervisor.cancel(RUN)
    for run_id in (of_ben, *of_anna):
        await one.final(run_id)
    ended = [job.run_id for job in one.media.jobs[1:]]
    # Anna's run is over by then, so her oldest may come first; her second may not.
    assert ended.index(of_ben) <= 1
    await one.supervisor.drain()


async def test_a_person_may_have_so_many_runs_and_others_theirs() -> None:
    one = _orchestrator(of_person=2)
    one.media.frozen = True
    for _ in range(2):
        await one.supervisor.start(replace(REQUEST, run_id=RunId.new()))
    with pytest.raises(ResourceExhausted, match="TOO_MANY_RUNS_OF_PERSON") as caught:
        await one.supervisor.start(REQUEST)
    assert caught.value.retry_after_seconds
    await one.supervisor.start(replace(REQUEST, run_id=RunId.new(), user_id="ben"))
    await one.supervisor.drain()


async def test_a_driver_that_lost_its_run_writes_nothing_and_leaves_its_job_alone() -> None:
    one = _orchestrator()
    await _left_in_stage_4(one)
    # Somebody who was told that it is dead.
    await one.recorder.claim(RUN, Claim("other", TTL), force=True)
    drafts, steps = len(one.recorder.drafts), len(one.recorder.steps)
    await eventually(lambda: one.supervisor._driver.life(RUN) is None, what="the end of driving")
    assert (len(one.recorder.drafts), len(one.recorder.steps)) == (drafts, steps)
    assert one.recorder.outputs == {}
    assert one.media.cancelled == []
    assert one.recorder.state(RUN) == "running"
    await one.supervisor.drain()


async def test_a_run_is_cancelled_by_whoever_is_asked() -> None:
    driving = _orchestrator()
    await _left_in_stage_4(driving)
    asked = _orchestrator(driving.recorder)
    async with asyncio.timeout(2.0):
        await asked.supervisor.cancel(RUN)
    assert driving.recorder.state(RUN) == "cancelled"
    assert driving.recorder.outputs == {1: ("cancelled", None)}
    assert asked.media.cancelled == [1]
    await eventually(lambda: driving.supervisor._driver.life(RUN) is None)
    assert driving.media.cancelled == []
    await driving.supervisor.drain()
    await asked.supervisor.drain()


async def test_a_run_whose_driver_is_gone_is_cancelled_before_anybody_takes_it() -> None:
    one = _orchestrator()
    one.recorder.runs[RUN] = _run(state="running")
    await one.recorder.claim(RUN, Claim("dead", TTL))
    await one.supervisor.cancel(RUN)
    assert one.recorder.state(RUN) == "cancelled"
    await one.supervisor.drain()


async def test_a_run_of_an_older_version_ends_with_a_reason() -> None:
    one = _orchestrator()
    one.recorder.runs[RUN] = _run(state="running")
    assert await one.final() == "failed"
    assert one.recorder.error is not None
    assert one.recorder.error.reason == "ORCHESTRATOR_RESTARTED"
    assert one.recorder.error.retryable
    await one.supervisor.drain()


async def test_a_run_that_nobody_brings_any_further_is_given_up() -> None:
    one = _orchestrator()
    await _left_in_stage_4(one)
    await one.supervisor.drain()
    entities = len(one.recorder.runs[RUN].entities)
    one.recorder.epochs[RUN] = TAKE_OVERS + 4 * entities + 1
    other = _orchestrator(one.recorder)
    assert await other.final() == "failed"
    assert one.recorder.error is not None
    assert one.recorder.error.reason == "TAKEN_OVER_TOO_OFTEN"
    await other.supervisor.drain()


async def test_a_start_that_was_cut_is_left_to_who_repeats_it() -> None:
    one = _orchestrator()
    await _left_in_stage_4(one)
    await one.supervisor.drain()
    run = one.recorder.runs[RUN]
    one.recorder.runs[RUN] = replace(run, entities=(), state="pending")
    one.recorder.uploads.clear()
    other = _orchestrator(one.recorder)
    await eventually(lambda: one.recorder.delays.get(RUN) is not None)
    assert one.recorder.state(RUN) == "pending"
    await other.supervisor.start(REQUEST)
    one.recorder.delays.clear()
    assert await other.final() == "succeeded"
    await other.supervisor.drain()


async def test_a_run_that_rests_is_woken_and_one_that_is_driven_is_left_alone() -> None:
    one = _orchestrator()
    await _left_in_stage_4(one)
    epoch = one.recorder.epochs[RUN]
    await one.supervisor.wake(RUN, "anna")
    assert one.recorder.epochs[RUN] == epoch
    await one.supervisor.drain()
    one.recorder.delays[RUN] = 3600.0
    other = _orchestrator(one.recorder)
    await other.supervisor.wake(RUN, "anna")
    assert await other.final() == "succeeded"
    await other.supervisor.drain()


async def test_outputs_are_known_to_who_goes_on() -> None:
    first = _orchestrator()
    first.media.offers = tuple(OutputOffer(name, "image", available=True) for name in "ab")
    first.media.frozen_config = "b"
    await first.supervisor.start(replace(REQUEST, output_configs=("a", "b")))
    await eventually(lambda: first.recorder.outputs.get(1) is not None)
    await eventually(lambda: len(first.media.jobs) == 2)
    await first.supervisor.drain()
    second = _orchestrator(first.recorder)
    assert await second.final() == "succeeded"
    assert [index for index, *_ in second.media.made] == [2]
    await second.supervisor.drain()


def _run(state: str) -> RecordedRun:
    return RecordedRun(
        run_id=RUN,
        state=state,
        config_name="dada",
        user_id="anna",
        level="youth",
        mode="eco",
        seed=1,
        output_configs=("builtin_image",),
        entities=(),
        created=datetime.now(UTC) - timedelta(hours=1),
    )


class CountingRecorder(FakeRecorder):
    """Keeps the names of calls."""

    calls: list[str]

    def __getattribute__(self, name: str) -> Any:
        if name in ("get_run", "create_run", "claim", "read", "record_all", "set_progress"):
            self.__dict__.setdefault("calls", []).append(name)
        return super().__getattribute__(name)


async def test_a_run_that_is_started_here_is_claimed_and_driven_without_further_calls() -> None:
    recorder = CountingRecorder()
    one = _orchestrator(recorder)
    await one.supervisor.start(REQUEST)
    assert await one.final() == "succeeded"
    calls = recorder.__dict__["calls"]
    # Created with its input and a claim; nothing is looked up or read back.
    assert calls[:3] == ["create_run", "claim", "set_progress"]
    assert "get_run" not in calls
    assert calls.count("claim") == 1, "of the fake, whose creation claims by it"
    assert "read" not in calls
    await one.supervisor.drain()


async def test_a_run_that_others_had_before_its_creation_was_answered_is_read_back() -> None:
    recorder = CountingRecorder()
    recorder.epochs[RUN] = 1  # somebody else's, given back
    one = _orchestrator(recorder)
    await one.supervisor.start(REQUEST)
    assert await one.final() == "succeeded"
    assert "get_run" in recorder.__dict__["calls"]
    await one.supervisor.drain()


async def test_a_cut_start_is_woken_by_who_repeats_it() -> None:
    one = _orchestrator()
    await _left_in_stage_4(one)
    await one.supervisor.drain()
    run = one.recorder.runs[RUN]
    one.recorder.runs[RUN] = replace(run, entities=(), state="pending")
    one.recorder.uploads.clear()
    one.recorder.delays[RUN] = 3600.0
    other = _orchestrator(one.recorder)
    await other.supervisor.start(REQUEST)
    assert await other.final() == "succeeded"
    await other.supervisor.drain()


async def test_a_new_run_does_not_get_ahead_of_those_in_line() -> None:
    one = _orchestrator(seats=1)
    one.media.frozen = True
    await one.supervisor.start(REQUEST)
    await one.media.started.wait()
    first, second = RunId.new(), RunId.new()
    await one.supervisor.start(replace(REQUEST, run_id=first, user_id="ben"))
    # As it is when the seat is free and nobody has taken it yet.
    one.supervisor._driver._total = 2
    await one.supervisor.start(replace(REQUEST, run_id=second, user_id="cem"))
    assert second not in one.recorder.owners
    one.media.frozen = False
    await one.supervisor.cancel(RUN)
    assert await one.final(second) == "succeeded"
    assert [job.run_id for job in one.media.jobs[1:]] == [first, second]
    await one.supervisor.drain()


async def test_a_run_in_line_gets_no_further_by_being_started_again() -> None:
    one = _orchestrator(seats=1)
    one.media.frozen = True
    await one.supervisor.start(REQUEST)
    await one.media.started.wait()
    first, second = RunId.new(), RunId.new()
    for run_id, user_id in ((first, "ben"), (second, "cem")):
        await one.supervisor.start(replace(REQUEST, run_id=run_id, user_id=user_id))
    for _ in range(3):
        await one.supervisor.start(replace(REQUEST, run_id=second, user_id="cem"))
    assert second not in one.recorder.owners
    one.media.frozen = False
    await one.supervisor.cancel(RUN)
    assert await one.final(second) == "succeeded"
    assert [job.run_id for job in one.media.jobs[1:]] == [first, second]
    await one.supervisor.drain()


async def test_a_run_that_is_woken_where_no_seat_is_free_is_left_to_who_has_one() -> None:
    busy = _orchestrator(seats=1)
    await _left_in_stage_4(busy)
    answered = RunId.new()
    await busy.supervisor.start(replace(REQUEST, run_id=answered))
    await busy.supervisor.wake(answered, "anna")
    other = _orchestrator(busy.recorder)
    assert await other.final(answered) == "succeeded"
    assert busy.recorder.state(RUN) == "running"
    await busy.supervisor.drain()
    await other.supervisor.drain()
