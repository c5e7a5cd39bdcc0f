"""Where a run stands in line, and what is said of how long it may take."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.kit.clock import ManualClock
from services.kit.ids import RunId
from services.orchestrator.claims import Claimable, ClaimableRuns
from services.orchestrator.domain.run import RecordedRun
from services.orchestrator.ports import RunHistory
from services.orchestrator.position import Position, Positions, position
from services.orchestrator.queue.view import QueueView
from tests.fakes.peers import FakeRecorder

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RecordedRun(
    run_id=RunId("528e5af9-59b3-4551-b101-27e13dd6e43e"),
    state="pending",
    config_name="dada",
    user_id="anna",
    level="youth",
    mode="eco",
    seed=1,
    output_configs=("builtin_image",),
    entities=(),
    created=NOW,
)


def _line(before: int, loads: dict[str, int]) -> ClaimableRuns:
    others = [
        Claimable(RunId.new(), f"person-{number}", NOW - timedelta(seconds=1 + number))
        for number in range(before)
    ]
    runs = (*others, Claimable(RUN.run_id, RUN.user_id, RUN.created))
    return ClaimableRuns(runs, len(runs), loads)


def test_a_run_in_line_is_told_who_comes_before_it() -> None:
    assert position(RUN, _line(3, {"ben": 4}), None, NOW, 4) == Position(3)


def test_a_wait_is_told_by_how_long_others_took() -> None:
    # Four seats, all taken: the first four in line wait for one round, the next for two.
    full = {"ben": 4}
    assert position(RUN, _line(0, full), 10.0, NOW, 4) == Position(0, 10.0, 20.0)
    assert position(RUN, _line(3, full), 10.0, NOW, 4) == Position(3, 10.0, 20.0)
    assert position(RUN, _line(4, full), 10.0, NOW, 4) == Position(4, 20.0, 30.0)


def test_with_a_free_seat_nobody_waits() -> None:
    assert position(RUN, _line(0, {"ben": 3}), 10.0, NOW, 4) == Position(0, 0.0, 10.0)


def test_a_run_in_work_is_told_what_is_left() -> None:
    empty = ClaimableRuns((), 0, {"anna": 1})
    later = NOW + timedelta(seconds=4)
    assert position(RUN, empty, 10.0, later, 4) == Position(0, 0.0, 6.0)
    assert position(RUN, empty, 3.0, later, 4) == Position(0, 0.0, 0.0)
    assert position(RUN, empty, None, later, 4) == Position(0, 0.0, None)


async def test_history_is_asked_for_once_in_a_while() -> None:
    class Historian(FakeRecorder):
        asked = 0

        async def history(self, output_config: str, config_name: str = "") -> RunHistory:
            Historian.asked += 1
            return RunHistory(10.0)

    recorder, clock = Historian(), ManualClock(NOW)
    recorder.runs[RUN.run_id] = RUN
    positions = Positions(recorder, QueueView(recorder, clock), clock, 4)
    assert await positions.of(RUN.run_id) == Position(0, 0.0, 10.0)
    await positions.of(RUN.run_id)
    assert Historian.asked == 1
    clock.advance(60.0)
    await positions.of(RUN.run_id)
    assert Historian.asked == 2
    recorder.runs[RUN.run_id] = replace(RUN, state="succeeded")
    assert await positions.of(RUN.run_id) == Position(0, 0.0, 0.0)


async def test_an_estimate_is_that_of_the_slowest_output_of_the_run() -> None:
    known = {
        ("builtin_image", "dada"): 2.0,
        ("builtin_image", ""): 3.0,
        ("builtin_video", ""): 25.0,
    }

    class Historian(FakeRecorder):
        async def history(self, output_config: str, config_name: str = "") -> RunHistory:
            return RunHistory(known.get((output_config, config_name)))

    async def total(*configs: str) -> float | None:
        recorder, clock = Historian(), ManualClock(NOW)
        recorder.runs[RUN.run_id] = replace(RUN, output_configs=configs)
        positions = Positions(recorder, QueueView(recorder, clock), clock, 4)
        return (await positions.of(RUN.run_id)).total_seconds

    assert await total("builtin_image") == 2.0
    # No run of this recipe made a film yet, but others did.
    assert await total("builtin_image", "builtin_video") == 25.0
    assert await total("builtin_music") is None


def test_a_run_behind_those_that_were_read_is_told_of_these() -> None:
    read = ClaimableRuns(_line(3, {}).runs[:3], 1500, {"ben": 4})
    assert position(RUN, read, None, NOW, 4).ahead == 3
