"""Fencing: a driver that was replaced writes nothing more, by whatever method."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import Aborted, ArtlabError, FailedPrecondition
from services.kit.ids import RunId
from services.recorder.domain.claim import Claim
from services.recorder.store.memory import MemoryStore
from tests.integration.recorder.harness import (
    World,
    digest_of,
    entity,
    picture,
    stream,
    until,
    world_of,
)
from tests.integration.recorder.test_claims import created, epoch_of, is_fenced

PICTURE = picture(4000)
HINT = run_pb2.Hint(text_delta=run_pb2.TextDelta(entity_type="interception", text="x"))
WHY = run_pb2.RunError(reason="SOME_REASON", message="why")
FAILED = run_pb2.RUN_STATE_FAILED
CANCELLED = run_pb2.RUN_STATE_CANCELLED
# Every request that has an epoch, with what it needs to do something.
WRITES: dict[str, dict[str, Any]] = {
    "SetProgress": {"stage": 1, "step": "one"},
    "PublishHints": {"hints": [HINT]},
    "RecordEntity": {"upload": "{run}/uploads/e", "entity": entity("input"), "data": b"Blume"},
    "RecordEntities": {
        "entities": [pb.NewEntity(upload_id="e", entity=entity("input"), data=b"Blume")]
    },
    "WriteEntity": {},
    "GetUpload": {"upload": "{run}/uploads/begun"},
    "DeleteUpload": {"upload": "{run}/uploads/begun"},
    "EraseEntity": {"name": "{run}/entities/1", "reason": "SAFETY_BLOCKED"},
    "RecordWarning": {"warning": run_pb2.Warning(reason="SOME_REASON")},
    "FinalizeOutput": {"output": run_pb2.Output(index=1, state=FAILED, error=WHY)},
    "FinalizeRun": {"state": FAILED, "error": WHY},
}


def test_no_write_is_forgotten() -> None:
    methods = pb.DESCRIPTOR.services_by_name["RecorderService"].methods
    has_epoch = {one.name for one in methods if "epoch" in one.input_type.fields_by_name}
    assert has_epoch - {"ReleaseClaim"} == set(WRITES)


async def a_run(world: World) -> str:
    """A run of "first" with an entity and an unfinished upload."""
    run, epoch = await created(world, "first")
    assert epoch == 1
    await world.record(f"{run}/uploads/old", b"Eine Wiese")
    await world.write(stream(f"{run}/uploads/begun", PICTURE, finish=False))
    return run


async def write(world: World, method: str, run: str, epoch: int) -> None:
    if method == "WriteEntity":
        messages = stream(f"{run}/uploads/picture", PICTURE)
        messages[0].epoch = epoch
        await world.write(messages)
        return
    values = {"name": run, **WRITES[method], "epoch": epoch}
    if "upload" in values:
        del values["name"]
    named = {
        key: re.sub(r"\{run\}", run, value) if isinstance(value, str) else value
        for key, value in values.items()
    }
    await world.call(method, getattr(pb, f"{method}Request")(**named))


async def state_of(world: World, run: str) -> tuple[run_pb2.Run, int]:
    return await world.get(run), await world.uploaded(f"{run}/uploads/begun")


@pytest.mark.parametrize("method", WRITES)
async def test_a_driver_that_was_replaced_writes_nothing_more(world: World, method: str) -> None:
    run = await a_run(world)
    assert await epoch_of(world, run, "second", force=True) == 2
    before = await state_of(world, run)
    for epoch in (1, 3, 2**63 - 1):
        with pytest.raises(FailedPrecondition) as caught:
            await write(world, method, run, epoch)
        assert is_fenced(caught.value)
        assert await state_of(world, run) == before
    await write(world, method, run, 2)


@pytest.mark.parametrize("method", WRITES)
async def test_who_does_not_drive_is_never_fenced(world: World, method: str) -> None:
    run = await a_run(world)
    await epoch_of(world, run, "second", force=True)
    await write(world, method, run, 0)


@pytest.mark.parametrize("method", WRITES)
async def test_an_epoch_that_nobody_was_given_is_refused(world: World, method: str) -> None:
    run = await world.create()
    with pytest.raises(FailedPrecondition) as caught:
        await write(world, method, run, 1)
    assert is_fenced(caught.value)


@pytest.mark.parametrize("method", WRITES)
async def test_a_driver_writes_on_when_its_claim_has_run_out_and_nobody_came(
    world: World, method: str
) -> None:
    run = await a_run(world)
    world.clock.advance(100)
    await write(world, method, run, 1)


@pytest.mark.parametrize("method", ["FinalizeRun", "FinalizeOutput", "RecordWarning"])
async def test_an_end_may_be_repeated_under_its_epoch(world: World, method: str) -> None:
    run = await a_run(world)
    await write(world, method, run, 1)
    await write(world, "FinalizeRun", run, 1)
    before = await world.get(run)
    await write(world, method, run, 1)
    assert await world.get(run) == before


@pytest.mark.parametrize("method", ["SetProgress", "RecordEntity", "WriteEntity"])
async def test_of_a_final_run_everybody_hears_that_it_is_final(world: World, method: str) -> None:
    run = await a_run(world)
    await epoch_of(world, run, "second", force=True)
    await world.finalize(run, CANCELLED)
    for epoch in (1, 2):
        with pytest.raises(FailedPrecondition) as caught:
            await write(world, method, run, epoch)
        assert caught.value.reason == "RUN_FINAL"


class Paused:
    """A stream of a picture under an epoch, the last message of which waits until it is told."""

    def __init__(self, upload: str, epoch: int, last_epoch: int = 0) -> None:
        self.may_end = asyncio.Event()
        self.messages = stream(upload, PICTURE)
        self.messages[0].epoch = epoch
        self.messages[-1].epoch = last_epoch

    async def __aiter__(self) -> AsyncIterator[pb.WriteEntityRequest]:
        for message in self.messages[:-1]:
            yield message
        await self.may_end.wait()
        yield self.messages[-1]


async def begun(world: World, run: str, writer: Paused) -> asyncio.Task[pb.WriteEntityResponse]:
    """The stream, once its bytes arrive."""
    before = world.unfinished_bytes()
    task = asyncio.create_task(world.write(writer))
    await until(lambda: world.unfinished_bytes() > before)
    return task


async def test_a_stream_of_the_old_driver_is_refused_at_its_end_and_the_new_one_goes_on_with_it(
    world: World,
) -> None:
    run, _ = await created(world, "first")
    upload = f"{run}/uploads/picture"
    writer = Paused(upload, epoch=1)
    task = await begun(world, run, writer)
    assert await epoch_of(world, run, "second", force=True) == 2
    writer.may_end.set()
    with pytest.raises(ArtlabError) as caught:
        await task
    assert is_fenced(caught.value)
    assert not (await world.get(run)).entities
    # Not one byte was in vain.
    start = await world.uploaded(upload)
    assert start == len(PICTURE)
    rest = stream(upload, PICTURE, start=start)
    rest[0].epoch = 2
    assert (await world.write(rest)).entity.digest == digest_of(PICTURE)


async def test_a_stream_that_passed_to_the_new_driver_meanwhile_counts(world: World) -> None:
    run, _ = await created(world, "first")
    writer = Paused(f"{run}/uploads/picture", epoch=1, last_epoch=2)
    task = await begun(world, run, writer)
    assert await epoch_of(world, run, "second", force=True) == 2
    writer.may_end.set()
    assert (await task).entity.digest == digest_of(PICTURE)


async def test_a_frozen_driver_does_not_keep_an_upload_from_the_one_who_replaced_it(
    world: World,
) -> None:
    run, _ = await created(world, "first")
    upload = f"{run}/uploads/picture"
    task = await begun(world, run, Paused(upload, epoch=1))
    assert await epoch_of(world, run, "second", force=True) == 2
    again = stream(upload, PICTURE)
    again[0].epoch = 2
    with pytest.raises(Aborted) as busy:
        await world.write(again)
    assert busy.value.reason == "UPLOAD_BUSY"
    async with asyncio.timeout(5):
        with pytest.raises(FailedPrecondition) as caught:
            await task
    assert is_fenced(caught.value)
    start = await world.uploaded(upload)
    assert 0 < start < len(PICTURE)
    rest = stream(upload, PICTURE, start=start)
    rest[0].epoch = 2
    assert (await world.write(rest)).entity.digest == digest_of(PICTURE)


@pytest.mark.parametrize(("epoch", "other"), [(0, 1), (1, 1), (1, 0)])
async def test_nobody_but_a_newer_driver_cuts_a_writer(
    world: World, epoch: int, other: int
) -> None:
    run, _ = await created(world, "first")
    upload = f"{run}/uploads/picture"
    writer = Paused(upload, epoch=epoch)
    task = await begun(world, run, writer)
    again = stream(upload, PICTURE)
    again[0].epoch = other
    with pytest.raises(Aborted) as busy:
        await world.write(again)
    assert busy.value.reason == "UPLOAD_BUSY"
    writer.may_end.set()
    assert (await task).entity.digest == digest_of(PICTURE)


async def test_a_claim_waits_for_no_stream(world: World) -> None:
    run, _ = await created(world, "first")
    writer = Paused(f"{run}/uploads/picture", epoch=1)
    task = await begun(world, run, writer)
    async with asyncio.timeout(5):
        assert await epoch_of(world, run, "second", force=True) == 2
    assert not task.done()
    writer.may_end.set()
    with pytest.raises(FailedPrecondition):
        await task


class HeldStore(MemoryStore):
    """A memory whose claims become durable when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.may_go_on = threading.Event()

    def save_claim(self, run_id: RunId, claim: Claim) -> None:
        """As the memory, later."""
        self.reached.set()
        assert self.may_go_on.wait(10)
        super().save_claim(run_id, claim)


async def test_nobody_who_reads_waits_for_a_claim(tmp_path: Path) -> None:
    store = HeldStore()
    async with world_of("memory", tmp_path, memory=store) as world:
        run = await world.create()
        task = asyncio.create_task(epoch_of(world, run, "first"))
        await asyncio.to_thread(store.reached.wait, 10)
        try:
            async with asyncio.timeout(5):
                assert (await world.get(run)).name == run
                # It is nobody's until the claim can be forgotten no more.
                answer = await world.call("ListClaimableRuns", pb.ListClaimableRunsRequest())
                assert [one.name for one in answer.runs] == [run]
            assert not task.done()
        finally:
            store.may_go_on.set()
        assert await task == 1
