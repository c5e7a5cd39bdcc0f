"""Claims: one driver a run, and whoever had it before writes nothing more."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError, FailedPrecondition, NotFound
from tests.integration.recorder.harness import World, entity, plan

TTL = 5.0
CANCELLED = run_pb2.RUN_STATE_CANCELLED


def claim(owner: str, ttl: float = TTL) -> pb.Claim:
    duration = Duration()
    duration.FromMilliseconds(round(ttl * 1000))
    return pb.Claim(owner=owner, ttl=duration)


async def claimed(
    world: World, run: str, owner: str, *, force: bool = False, ttl: float = TTL
) -> pb.ClaimRunResponse:
    request = pb.ClaimRunRequest(name=run, claim=claim(owner, ttl), force=force)
    answer: pb.ClaimRunResponse = await world.call("ClaimRun", request)
    return answer


async def epoch_of(world: World, run: str, owner: str, *, force: bool = False) -> int:
    answer = await claimed(world, run, owner, force=force)
    assert answer.claimed
    assert not answer.HasField("retry_after")
    return answer.epoch


async def created(
    world: World, owner: str, run_id: str | None = None, **changes: Any
) -> tuple[str, int]:
    request = pb.CreateRunRequest(
        request_id=run_id or str(uuid.uuid4()), run=plan(**changes), claim=claim(owner)
    )
    answer = await world.call("CreateRun", request)
    return answer.run.name, answer.epoch


async def release(world: World, run: str, owner: str, epoch: int, delay: float = 0) -> None:
    request = pb.ReleaseClaimRequest(name=run, owner=owner, epoch=epoch)
    request.delay.FromMilliseconds(round(delay * 1000))
    await world.call("ReleaseClaim", request)


async def renewed(
    world: World, owner: str, held: Iterable[tuple[str, int]], ttl: float = TTL
) -> dict[str, str]:
    """The claims that are lost, and why."""
    request = pb.RenewClaimsRequest(
        claim=claim(owner, ttl), held=[pb.HeldClaim(name=run, epoch=epoch) for run, epoch in held]
    )
    return {one.name: one.reason for one in (await world.call("RenewClaims", request)).lost}


async def listed(world: World, page_size: int = 0) -> pb.ListClaimableRunsResponse:
    request = pb.ListClaimableRunsRequest(page_size=page_size)
    answer: pb.ListClaimableRunsResponse = await world.call("ListClaimableRuns", request)
    return answer


async def claimable(world: World) -> list[str]:
    return [one.name for one in (await listed(world)).runs]


def is_fenced(error: ArtlabError) -> bool:
    return isinstance(error, FailedPrecondition) and error.reason == "FENCED"


async def write(world: World, run: str, epoch: int) -> None:
    request = pb.SetProgressRequest(name=run, stage=1, step=f"of_{epoch}", epoch=epoch)
    await world.call("SetProgress", request)


async def test_of_two_who_ask_the_first_gets_the_run_and_the_other_hears_when(
    world: World,
) -> None:
    run = await world.create()
    assert await epoch_of(world, run, "first") == 1
    world.clock.advance(1)
    refused = await claimed(world, run, "second")
    assert not refused.claimed
    assert refused.epoch == 0
    assert refused.retry_after.ToMilliseconds() == 4000


async def test_who_asks_again_keeps_its_epoch_and_holds_the_run_anew(world: World) -> None:
    run = await world.create()
    assert await epoch_of(world, run, "first") == 1
    world.clock.advance(TTL - 1)
    assert await epoch_of(world, run, "first") == 1
    world.clock.advance(TTL - 1)
    assert not (await claimed(world, run, "second")).claimed


async def test_every_new_driver_gets_a_higher_epoch(world: World) -> None:
    run = await world.create()
    epochs = []
    for owner in ("first", "second", "first", "first", "third"):
        epochs.append(await epoch_of(world, run, owner))
        world.clock.advance(TTL)
    assert epochs == [1, 2, 3, 3, 4]


async def test_a_claim_past_its_ttl_is_good_until_somebody_else_claims(world: World) -> None:
    run = await world.create()
    epoch = await epoch_of(world, run, "first")
    world.clock.advance(10 * TTL)
    assert await claimable(world) == [run]
    await write(world, run, epoch)
    assert await renewed(world, "first", [(run, epoch)]) == {}
    assert await claimable(world) == []
    assert not (await claimed(world, run, "second")).claimed


async def test_force_takes_a_run_away_from_its_driver(world: World) -> None:
    run, epoch = await created(world, "first")
    assert await epoch_of(world, run, "second", force=True) == epoch + 1
    with pytest.raises(FailedPrecondition) as caught:
        await write(world, run, epoch)
    assert is_fenced(caught.value)
    await write(world, run, epoch + 1)
    assert await renewed(world, "first", [(run, epoch)]) == {run: "FENCED"}
    assert await renewed(world, "second", [(run, epoch + 1)]) == {}


async def test_a_run_is_its_creators_from_the_first_moment(world: World) -> None:
    run_id = str(uuid.uuid4())
    run, epoch = await created(world, "first", run_id)
    assert epoch == 1
    assert not (await claimed(world, run, "second")).claimed
    # The answer was lost, and the same is asked again.
    assert await created(world, "first", run_id) == (run, 1)
    # Somebody else makes the same request: the run is there, and not theirs.
    assert await created(world, "second", run_id) == (run, 0)
    world.clock.advance(TTL)
    assert await created(world, "second", run_id) == (run, 2)
    await world.finalize(run, CANCELLED)
    assert await created(world, "second", run_id) == (run, 0)


async def test_without_a_claim_nobody_has_a_new_run(world: World) -> None:
    run = await world.create()
    assert await claimable(world) == [run]
    (one,) = (await listed(world)).runs
    assert (one.user_id, one.begun) == ("pseudonym-1", False)
    assert one.create_time == (await world.get(run)).create_time
    await epoch_of(world, run, "first")
    world.clock.advance(TTL)
    assert (await listed(world)).runs[0].begun


async def test_a_claim_on_a_run_that_has_ended_or_never_was_is_refused(world: World) -> None:
    run = await world.create()
    await world.finalize(run, CANCELLED)
    for force in (False, True):
        with pytest.raises(FailedPrecondition) as final:
            await claimed(world, run, "first", force=force)
        assert final.value.reason == "RUN_FINAL"
        with pytest.raises(NotFound) as unknown:
            await claimed(world, f"runs/{uuid.uuid4()}", "first", force=force)
        assert unknown.value.reason == "RUN_NOT_FOUND"


async def test_what_is_given_back_can_be_claimed_at_once_by_anybody(world: World) -> None:
    run, epoch = await created(world, "first")
    await release(world, run, "first", epoch)
    assert await claimable(world) == [run]
    # Until then the epoch is good: what was on its way when it was given back counts.
    await write(world, run, epoch)
    assert await renewed(world, "first", [(run, epoch)]) == {run: "FENCED"}
    assert await epoch_of(world, run, "first") == epoch + 1


async def test_a_delay_keeps_a_run_from_everybody_but_those_who_force(world: World) -> None:
    run, epoch = await created(world, "first")
    await release(world, run, "first", epoch, delay=100)
    assert await claimable(world) == []
    refused = await claimed(world, run, "first")
    assert not refused.claimed
    assert refused.retry_after.ToMilliseconds() == 100_000
    world.clock.advance(99)
    assert await claimable(world) == []
    world.clock.advance(1)
    assert await claimable(world) == [run]
    assert await epoch_of(world, run, "second") == 2
    await release(world, run, "second", 2, delay=100)
    assert await epoch_of(world, run, "third", force=True) == 3
    await release(world, run, "third", 3)
    assert await claimable(world) == [run]


async def test_giving_back_what_is_lost_changes_nothing(world: World) -> None:
    run, epoch = await created(world, "first")
    await release(world, run, "second", epoch)
    await release(world, run, "first", epoch + 1)
    assert await claimable(world) == []
    await epoch_of(world, run, "second", force=True)
    await release(world, run, "first", epoch, delay=100)
    assert await renewed(world, "second", [(run, epoch + 1)]) == {}
    await world.finalize(run, CANCELLED)
    await release(world, run, "second", epoch + 1)
    await release(world, f"runs/{uuid.uuid4()}", "second", 1)


async def test_renewing_tells_of_each_claim_that_is_lost_why(world: World) -> None:
    names = [(await created(world, "first"))[0] for _ in range(5)]
    kept, taken, ended, deleted, unclaimed = names
    await epoch_of(world, taken, "second", force=True)
    await world.finalize(ended, CANCELLED)
    await world.call("DeleteRun", pb.DeleteRunRequest(name=deleted))
    await release(world, unclaimed, "first", 1)
    never = f"runs/{uuid.uuid4()}"
    assert await renewed(world, "first", [(run, 1) for run in (*names, never)]) == {
        taken: "FENCED",
        ended: "RUN_FINAL",
        deleted: "RUN_NOT_FOUND",
        unclaimed: "FENCED",
        never: "RUN_NOT_FOUND",
    }
    assert await renewed(world, "first", [(kept, 2)]) == {kept: "FENCED"}


async def test_what_is_renewed_is_held_for_another_ttl(world: World) -> None:
    run, epoch = await created(world, "first")
    for _ in range(5):
        world.clock.advance(TTL - 1)
        assert await renewed(world, "first", [(run, epoch)]) == {}
        assert await claimable(world) == []
    world.clock.advance(TTL)
    assert await claimable(world) == [run]


async def test_a_claim_may_be_renewed_for_a_shorter_time_than_before(world: World) -> None:
    run, epoch = await created(world, "first")
    assert await renewed(world, "first", [(run, epoch)], ttl=1) == {}
    world.clock.advance(1)
    assert await epoch_of(world, run, "second") == epoch + 1


async def test_runs_to_drive_come_oldest_first_with_the_load_of_each_person(world: World) -> None:
    runs = []
    for number in range(6):
        runs.append(await world.create(user_id=f"person-{number % 2}"))
        world.clock.advance(0.001)
    assert await claimable(world) == runs
    answer = await listed(world, page_size=2)
    assert [one.name for one in answer.runs] == runs[:2]
    assert answer.total == 6
    assert list(answer.loads) == []
    for run in (runs[1], runs[3], runs[4]):
        await epoch_of(world, run, "first")
    answer = await listed(world)
    assert [one.name for one in answer.runs] == [runs[0], runs[2], runs[5]]
    assert answer.total == 3
    assert {one.user_id: one.claimed for one in answer.loads} == {"person-0": 1, "person-1": 2}
    await release(world, runs[1], "first", 1)
    await release(world, runs[4], "first", 1, delay=60)
    await world.finalize(runs[0], CANCELLED)
    await world.call("DeleteRun", pb.DeleteRunRequest(name=runs[2]))
    answer = await listed(world)
    assert [one.name for one in answer.runs] == [runs[1], runs[5]]
    assert {one.user_id: one.claimed for one in answer.loads} == {"person-1": 1}
    await world.finalize(runs[3], CANCELLED)
    assert list((await listed(world)).loads) == []


async def test_a_page_holds_at_most_a_thousand_runs_and_a_hundred_by_itself(world: World) -> None:
    for _ in range(101):
        await world.create()
    assert len((await listed(world)).runs) == 100
    assert len((await listed(world, page_size=2**31 - 1)).runs) == 101


async def test_owner_and_epoch_survive_a_restart_and_hold_for_one_more_ttl(world: World) -> None:
    mine, _ = await created(world, "first")
    taken, _ = await created(world, "first")
    assert await epoch_of(world, taken, "second", force=True) == 2
    world.clock.advance(TTL - 1)
    await world.restart()
    world.clock.advance(TTL - 1)
    for run in (mine, taken):
        assert not (await claimed(world, run, "third")).claimed
    with pytest.raises(FailedPrecondition) as caught:
        await write(world, taken, 1)
    assert is_fenced(caught.value)
    await write(world, taken, 2)
    assert await renewed(world, "first", [(mine, 1)]) == {}
    assert await renewed(world, "second", [(taken, 2)]) == {}
    world.clock.advance(TTL)
    assert await epoch_of(world, mine, "third") == 2
    assert await epoch_of(world, taken, "third") == 3


async def test_a_delay_survives_a_restart_and_is_over_when_it_was_to_be(world: World) -> None:
    run, epoch = await created(world, "first")
    other, _ = await created(world, "first")
    await release(world, run, "first", epoch, delay=100)
    await release(world, other, "first", 1)
    world.clock.advance(60)
    await world.restart()
    assert await claimable(world) == [other]
    assert (await claimed(world, run, "second")).retry_after.ToMilliseconds() == 40_000
    world.clock.advance(40)
    assert set(await claimable(world)) == {run, other}
    assert await epoch_of(world, run, "second") == 2


async def ask(world: World, run: str, number: int, epoch: int = 0) -> int:
    request = pb.RecordEntityRequest(
        upload=f"{run}/uploads/question-{number}",
        entity=entity("question"),
        data=b'{"kind": "approve"}',
        epoch=epoch,
    )
    answer = await world.call("RecordEntity", request)
    sequence: int = answer.entity.sequence
    return sequence


async def decide(world: World, run: str, question: int) -> None:
    request = pb.RecordEntityRequest(
        upload=f"{run}/uploads/decision-{question}",
        entity=entity("decision", metadata={"question": str(question)}),
        data=b'{"decision": "approve"}',
    )
    await world.call("RecordEntity", request)


async def test_a_decision_ends_the_wait_of_a_run_that_was_put_off(world: World) -> None:
    run, epoch = await created(world, "first")
    one, other = await ask(world, run, 1, epoch), await ask(world, run, 2, epoch)
    await release(world, run, "first", epoch, delay=1000)
    await decide(world, run, one)
    assert await claimable(world) == [run]
    await world.restart()
    assert await claimable(world) == [run]
    # A later delay has a reason of its own.
    assert await epoch_of(world, run, "second") == 2
    await release(world, run, "second", 2, delay=1000)
    assert await claimable(world) == []
    await decide(world, run, other)
    assert await claimable(world) == [run]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_run_is_not_put_off_for_a_decision_that_came_before_it_was(
    world: World, restarted: bool
) -> None:
    run, epoch = await created(world, "first")
    world.clock.advance(1)
    question = await ask(world, run, 1, epoch)
    # Nobody answers this one.
    await ask(world, run, 2, epoch)
    await decide(world, run, question)
    if restarted:
        await world.restart()
    await release(world, run, "first", epoch, delay=1000)
    assert await claimable(world) == [run]


async def test_a_run_past_its_deadline_ends_whoever_has_it(world: World) -> None:
    run, epoch = await created(world, "first", deadline=world.deadline_in(60))
    world.clock.advance(61)
    await world.recorder.sweep()
    assert (await world.get(run)).error.reason == "RUN_DEADLINE"
    assert await renewed(world, "first", [(run, epoch)]) == {run: "RUN_FINAL"}
    assert (await listed(world)).total == 0


async def test_a_run_may_take_as_long_as_a_claim_may_be_put_off(world: World) -> None:
    day = 24 * 3600
    run, epoch = await created(world, "first", deadline=world.deadline_in(31 * day))
    await release(world, run, "first", epoch, delay=30 * day)
    world.clock.advance(30 * day)
    await world.recorder.sweep()
    assert await claimable(world) == [run]
