"""What both queues promise, over a real recorder and a real NATS server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kit.clock import SystemClock
from services.kit.errors import NotFound, Unavailable
from services.kit.ids import RunId
from services.orchestrator.claims import Claim
from services.orchestrator.position import Positions
from services.orchestrator.queue.port import Lost
from services.orchestrator.queue.view import QueueView
from tests.integration.orchestrator.queue_world import TTL, NatsMissing, QueueWorld, queue_world
from tests.support.eventually import eventually

# So many beats are more than a claim holds without one.
BEATS = 5


@pytest.fixture(params=["embedded", "nats"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[QueueWorld]:
    try:
        async with queue_world(request.param, tmp_path) as made:
            yield made
    except NatsMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
async def nats_world(tmp_path: Path) -> AsyncIterator[QueueWorld]:
    try:
        async with queue_world("nats", tmp_path) as made:
            yield made
    except NatsMissing as missing:
        pytest.skip(str(missing))


async def test_a_run_that_is_submitted_again_and_again_has_one_driver(world: QueueWorld) -> None:
    one, two = await world.replica("one"), await world.replica("two")
    one.take(2)
    two.take(2)
    run_id, _ = await world.create()
    for replica in (one, two, one):
        await _submit(replica.queue.submit(run_id, "anna"))
    await eventually(lambda: bool(one.got or two.got))
    # Another one comes through: whatever was repeated has been seen by then.
    later, _ = await world.create()
    await _submit(one.queue.submit(later, "anna"))
    await eventually(lambda: later in one.ids() + two.ids())
    assert sorted(map(str, one.ids() + two.ids())) == sorted(map(str, (run_id, later)))


async def test_a_run_claimed_at_its_creation_is_driven_under_that_epoch(world: QueueWorld) -> None:
    one = await world.replica("one")
    one.take()
    run_id, epoch = await world.create(owner="one")
    await one.queue.submit(run_id, "anna", epoch=epoch)
    await one.queue.submit(run_id, "anna", epoch=epoch)
    run = await one.first()
    assert (run.run_id, run.epoch) == (run_id, epoch)


async def test_a_run_nobody_told_of_is_found(world: QueueWorld) -> None:
    one = await world.replica("one")
    one.take()
    run_id, _ = await world.create()
    assert (await one.first()).run_id == run_id


async def test_a_heartbeat_holds_a_run_for_longer_than_its_claim(world: QueueWorld) -> None:
    one, two = await world.replica("one"), await world.replica("two")
    one.take()
    run_id, _ = await world.create()
    run = await one.first()
    two.take()
    await eventually(lambda: one.recorder.renewals >= BEATS)
    assert two.got == []
    answer = await two.recorder.claim(run_id, Claim("three", TTL))
    assert answer.epoch == 0
    assert (await one.recorder.claim(run_id, Claim("one", TTL))).epoch == run.epoch


async def test_a_run_of_a_dead_process_goes_to_another_under_a_higher_epoch(
    world: QueueWorld,
) -> None:
    one, two = await world.replica("one"), await world.replica("two")
    one.take()
    run_id, _ = await world.create()
    epoch = (await one.first()).epoch
    await one.die()
    two.take()
    run = await two.first()
    assert run.run_id == run_id
    assert run.epoch > epoch


async def test_a_run_taken_by_force_is_lost(world: QueueWorld) -> None:
    one = await world.replica("one")
    one.take()
    run_id, _ = await world.create()
    run = await one.first()
    await one.recorder.claim(run_id, Claim("stronger", 30.0), force=True)
    assert await run.lost() is Lost.FENCED
    await run.release()


async def test_a_process_that_was_frozen_hears_that_its_run_is_anothers(world: QueueWorld) -> None:
    one, two = await world.replica("one"), await world.replica("two")
    one.take()
    await world.create()
    run = await one.first()
    one.recorder.open.clear()
    two.take()
    await two.first()
    one.recorder.open.set()
    assert await run.lost() is Lost.FENCED


async def test_a_run_that_was_ended_by_somebody_else_is_lost_as_final(world: QueueWorld) -> None:
    one = await world.replica("one")
    one.take()
    run_id, _ = await world.create()
    run = await one.first()
    await world.end(run_id)
    assert await run.lost() is Lost.RUN_FINAL
    await run.done()


async def test_a_run_given_back_goes_to_whoever_has_room(world: QueueWorld) -> None:
    one, two = await world.replica("one"), await world.replica("two")
    one.take()
    run_id, _ = await world.create()
    run = await one.first()
    await run.release()
    two.take()
    again = await two.first()
    assert again.run_id == run_id
    assert again.epoch > run.epoch


async def test_a_run_given_back_with_a_delay_rests(world: QueueWorld) -> None:
    one, two = await world.replica("one"), await world.replica("two")
    one.take()
    resting, _ = await world.create()
    run = await one.first()
    await run.release(3600.0)
    two.take(2)
    other, _ = await world.create()
    await _submit(two.queue.submit(other, "anna"))
    await two.first()
    assert two.ids() == [other]
    # Whoever wakes it by force gives it to his own queue.
    woken = await two.recorder.claim(resting, Claim("two", TTL), force=True)
    await two.queue.submit(resting, "anna", epoch=woken.epoch)
    assert (await two.first(2)).run_id == resting


async def test_a_rest_has_an_end(world: QueueWorld) -> None:
    one = await world.replica("one")
    one.take(2)
    run_id, _ = await world.create()
    await (await one.first()).release(0.5)
    assert (await one.first(2)).run_id == run_id


async def test_a_run_that_is_done_does_not_come_again(world: QueueWorld) -> None:
    one = await world.replica("one")
    one.take(3)
    run_id, _ = await world.create()
    run = await one.first()
    await world.end(run_id)
    await run.done()
    later, _ = await world.create()
    await _submit(one.queue.submit(run_id, "anna"))
    await _submit(one.queue.submit(later, "anna"))
    await one.first(2)
    assert one.ids() == [run_id, later]


async def test_people_take_turns(world: QueueWorld) -> None:
    one = await world.replica("one")
    annas = [(await world.create("anna"))[0] for _ in range(4)]
    bens = [(await world.create("ben"))[0] for _ in range(2)]
    for run_id in annas:
        await _submit(one.queue.submit(run_id, "anna"))
    for run_id in bens:
        await _submit(one.queue.submit(run_id, "ben"))
    for count in range(1, 7):
        one.take()
        await one.first(count)
    assert [_whose(run_id, annas) for run_id in one.ids()] == [
        "anna",
        "ben",
        "anna",
        "ben",
        "anna",
        "anna",
    ]
    assert [run_id for run_id in one.ids() if run_id in annas] == annas
    assert [run_id for run_id in one.ids() if run_id in bens] == bens


async def test_a_place_in_line_is_told_by_the_order_runs_are_driven_in(world: QueueWorld) -> None:
    one = await world.replica("one")
    annas = [(await world.create("anna"))[0] for _ in range(3)]
    ben, _ = await world.create("ben")
    clock = SystemClock()
    positions = Positions(one.recorder, QueueView(one.recorder, clock), clock, seats=1)
    line = [annas[0], ben, annas[1], annas[2]]
    assert [(await positions.of(run_id)).ahead for run_id in line] == [0, 1, 2, 3]
    # Nothing like them has ended before.
    assert (await positions.of(ben)).total_seconds is None
    one.take(4)
    await one.first(4)
    assert one.ids() == line
    with pytest.raises(NotFound, match="RUN_NOT_FOUND"):
        await positions.of(RunId.new())


async def test_a_restarted_recorder_leaves_runs_to_their_drivers(world: QueueWorld) -> None:
    one, two = await world.replica("one"), await world.replica("two")
    one.take()
    run_id, _ = await world.create()
    run = await one.first()
    await world.stop_recorder()
    await world.start_recorder()
    beats = one.recorder.renewals
    two.take()
    await eventually(lambda: one.recorder.renewals >= beats + BEATS)
    assert two.got == []
    assert (await one.recorder.claim(run_id, Claim("one", TTL))).epoch == run.epoch
    other, _ = await world.create()
    assert (await two.first()).run_id == other


async def test_closing_gives_back_what_nobody_drives_yet(world: QueueWorld) -> None:
    one, two = await world.replica("one"), await world.replica("two")
    run_id, epoch = await world.create(owner="one")
    await one.queue.submit(run_id, "anna", epoch=epoch)
    await one.close()
    assert one.got == []
    two.take()
    assert (await two.first()).run_id == run_id


async def test_runs_are_found_while_the_server_is_away_and_after(nats_world: QueueWorld) -> None:
    one = await nats_world.replica("one")
    one.take(3)
    first, _ = await nats_world.create()
    await one.first()
    await nats_world.kill_nats()
    second, _ = await nats_world.create()
    await _submit(one.queue.submit(second, "anna"))
    await one.first(2)
    await nats_world.start_nats()
    third, _ = await nats_world.create()
    await one.first(3)
    assert one.ids() == [first, second, third]
    # It is in use again.
    fourth, _ = await nats_world.create()
    await eventually(lambda: _takes(one.queue.submit(fourth, "anna")))


async def test_a_server_that_comes_later_than_the_drivers_is_used(nats_world: QueueWorld) -> None:
    await nats_world.kill_nats()
    one = await nats_world.replica("one")
    one.take()
    first, _ = await nats_world.create()
    assert (await one.first()).run_id == first
    await nats_world.start_nats()
    # Also while every seat is taken.
    second, _ = await nats_world.create()
    await eventually(lambda: _takes(one.queue.submit(second, "anna")))
    await eventually(lambda: _has(nats_world, 1))
    one.take()
    assert (await one.first(2)).run_id == second


async def test_runs_are_found_while_the_server_hangs(nats_world: QueueWorld) -> None:
    one = await nats_world.replica("one")
    one.take(3)
    first, _ = await nats_world.create()
    await one.first()
    nats_world.freeze_nats()
    second, _ = await nats_world.create()
    await _submit(one.queue.submit(second, "anna"))
    await one.first(2)
    nats_world.thaw_nats()
    third, _ = await nats_world.create()
    await one.first(3)
    assert one.ids() == [first, second, third]


async def test_a_lost_stream_loses_no_run(nats_world: QueueWorld) -> None:
    one = await nats_world.replica("one")
    one.take()
    first, _ = await nats_world.create()
    await one.first()
    waiting = [(await nats_world.create())[0] for _ in range(3)]
    await eventually(lambda: _has(nats_world, 3))
    await nats_world.lose_stream()
    one.take(3)
    await one.first(4)
    assert set(one.ids()) == {first, *waiting}


async def test_a_message_stays_until_its_run_is_final(nats_world: QueueWorld) -> None:
    one, two = await nats_world.replica("one"), await nats_world.replica("two")
    one.take()
    run_id, _ = await nats_world.create()
    await eventually(lambda: _takes(one.queue.submit(run_id, "anna")))
    run = await one.first()
    assert await nats_world.in_stream() == 1
    await one.die()
    two.take()
    again = await two.first()
    assert again.run_id == run.run_id
    await nats_world.end(run_id)
    await again.done()
    await eventually(lambda: _has(nats_world, 0))


async def _submit(call: object) -> None:
    # A queue that cannot be told finds the run by itself.
    try:
        await call  # type: ignore[misc]
    except Unavailable:
        return


async def _takes(call: object) -> bool:
    try:
        await call  # type: ignore[misc]
    except Unavailable:
        return False
    return True


async def _has(world: QueueWorld, messages: int) -> bool:
    there = await world.in_stream()
    # That of a run which was found without it may still be there.
    return there >= messages if messages else there == 0


def _whose(run_id: RunId, annas: list[RunId]) -> str:
    return "anna" if run_id in annas else "ben"
