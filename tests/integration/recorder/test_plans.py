"""What goes with a run from its creation on: its plan, what it goes on from, what it asks."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import AlreadyExists, DataLoss, PermissionDenied
from services.recorder.domain.plan import MAX_PLAN_BYTES
from services.recorder.store.codec import encode_document
from services.recorder.verify import verify_run
from tests.integration.recorder.archives import (
    export,
    finished_run,
    take_in,
    unzipped,
)
from tests.integration.recorder.harness import World, entity, metadata_of, plan, world_of

RESEARCH = run_pb2.AUDIENCE_RESEARCH
PARENT = "runs/00000000-0000-4000-8000-000000000001"
# Nothing of it survives being read and written again as JSON.
STRANGE = ' {"b" : 1.0,\t"a": 1e2, "a": "\\u00fc\\ud800 💐",\r\n "n": 12345678901234567890123 } '


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "other") as world:
        yield world


async def create(world: World, document: str = "", run_id: str = "", **changes: Any) -> str:
    request = pb.CreateRunRequest(
        request_id=run_id or str(uuid.uuid4()), run=plan(**changes), plan=document
    )
    name: str = (await world.call("CreateRun", request)).run.name
    return name


async def plan_of(world: World, run: str) -> str:
    request = pb.GetRunRequest(name=run, audience=RESEARCH, include_plan=True)
    text: str = (await world.call("GetRun", request)).plan
    return text


def of_size(size: int) -> str:
    return json.dumps({"a": "x" * (size - len('{"a": ""}'))})


@pytest.mark.parametrize("document", ["{}", STRANGE, of_size(MAX_PLAN_BYTES)], ids=len)
async def test_a_plan_comes_back_byte_for_byte(world: World, document: str) -> None:
    run = await create(world, document)
    assert await plan_of(world, run) == document
    await world.record(f"{run}/uploads/a", b"Eine Blume")
    await world.restart()
    assert await plan_of(world, run) == document
    await world.finalize(run, run_pb2.RUN_STATE_CANCELLED)
    assert await plan_of(world, run) == document
    await world.restart()
    assert await plan_of(world, run) == document


async def test_only_research_is_shown_a_plan_and_only_when_it_asks(world: World) -> None:
    run = await create(world, '{"secret": "rules"}')
    for audience in (run_pb2.AUDIENCE_STUDENT, run_pb2.AUDIENCE_ADVANCED):
        request = pb.GetRunRequest(name=run, audience=audience, include_plan=True)
        with pytest.raises(PermissionDenied) as caught:
            await world.call("GetRun", request)
        assert caught.value.reason == "AUDIENCE_TOO_LOW"
        request.include_plan = False
        assert b"rules" not in (await world.call("GetRun", request)).SerializeToString()
    request = pb.GetRunRequest(name=run, audience=RESEARCH)
    assert (await world.call("GetRun", request)).plan == ""
    lists = pb.ListRunsRequest(audience=RESEARCH)
    assert b"rules" not in (await world.call("ListRuns", lists)).SerializeToString()


async def test_a_run_without_plan_and_lineage_is_recorded_as_ever(disk: World) -> None:
    run = await create(disk)
    assert await plan_of(disk, run) == ""
    keys = metadata_of(disk, run).keys()
    assert not keys & {"plan", "parent_run_id", "parent_sequence", "creator"}


async def test_the_record_says_plan_lineage_and_creator(disk: World) -> None:
    request = pb.CreateRunRequest(
        request_id=str(uuid.uuid4()),
        run=plan(parent=PARENT, parent_sequence=4),
        plan='{"steps": []}',
        claim=pb.Claim(owner="driver-1", ttl=Duration(seconds=5)),
    )
    run = (await disk.call("CreateRun", request)).run.name
    document = metadata_of(disk, run)
    assert document["plan"] == '{"steps": []}'
    assert document["parent_run_id"] == PARENT.removeprefix("runs/")
    assert document["parent_sequence"] == 4
    assert document["creator"] == {"owner": "driver-1", "ttl_ms": 5000}
    assert verify_run(disk.folder(run)) == []


async def test_lineage_is_told_wherever_a_run_is(world: World) -> None:
    run = await create(world, parent=PARENT, parent_sequence=4)
    for _ in range(2):
        listed = (await world.call("ListRuns", pb.ListRunsRequest(audience=RESEARCH))).runs
        for told in (await world.get(run), *listed):
            assert (told.parent, told.parent_sequence) == (PARENT, 4)
        await world.restart()
    root = await create(world)
    assert (await world.get(root)).parent == ""


@pytest.mark.parametrize(
    ("document", "changes"),
    [
        ("", {}),
        ('{"a":1}', {"parent": PARENT, "parent_sequence": 1}),
        ('{"a": 1}', {}),
        ('{"a":1}', {"parent": PARENT, "parent_sequence": 2}),
    ],
)
async def test_another_plan_or_parent_is_another_request(
    world: World, document: str, changes: dict[str, Any]
) -> None:
    run_id = str(uuid.uuid4())
    first: dict[str, Any] = {"document": '{"a":1}', "parent": PARENT}
    run = await create(world, run_id=run_id, **first)
    assert await create(world, run_id=run_id, **first) == run
    with pytest.raises(AlreadyExists) as caught:
        await create(world, document, run_id, **changes)
    assert caught.value.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("bad", ["[]", "", "no JSON", 7])
async def test_a_record_whose_plan_is_none_is_damaged(disk: World, bad: object) -> None:
    run = await create(disk, "{}")
    await disk.finalize(run, run_pb2.RUN_STATE_CANCELLED)
    document = {**metadata_of(disk, run), "plan": bad}
    (disk.folder(run) / "metadata.json").write_bytes(encode_document(document))
    assert len(verify_run(disk.folder(run))) == 1
    with pytest.raises(DataLoss):
        await disk.get(run)


async def test_plan_and_lineage_go_with_an_export_and_come_back_with_an_import(
    served: World, other: World
) -> None:
    request = pb.CreateRunRequest(
        request_id="00000000-0000-4000-8000-000000000002",
        run=plan(parent=PARENT, parent_sequence=3),
        plan=STRANGE,
        claim=pb.Claim(owner="driver-1", ttl=Duration(seconds=5)),
    )
    created = (await served.call("CreateRun", request)).run.name
    await served.finalize(created, run_pb2.RUN_STATE_CANCELLED)
    archive = await export(served, created)
    assert list((await take_in(other, archive)).imported) == [created]
    assert await plan_of(other, created) == STRANGE
    told = await other.get(created)
    assert (told.parent, told.parent_sequence) == (PARENT, 3)
    assert verify_run(other.folder(created)) == []
    files = unzipped(archive)
    assert PARENT.encode() in files["ro-crate-metadata.json"]
    lines = await export(served, created, format=pb.EXPORT_FORMAT_JSON_LINES)
    assert json.loads(lines)["plan"] == STRANGE


@pytest.mark.parametrize("audience", [run_pb2.AUDIENCE_STUDENT, run_pb2.AUDIENCE_ADVANCED])
@pytest.mark.parametrize("kind", [pb.EXPORT_FORMAT_ZIP, pb.EXPORT_FORMAT_HTML])
async def test_an_export_for_others_has_no_plan_and_no_step_output(
    served: World, audience: run_pb2.Audience.ValueType, kind: pb.ExportFormat.ValueType
) -> None:
    async def keep(run: str) -> None:
        of = entity("step_output", audience=run_pb2.AUDIENCE_STUDENT)
        await served.record(f"{run}/uploads/step-a-0", b'{"kept": "wildflower"}', of)

    run_id = "00000000-0000-4000-8000-000000000002"
    name = f"runs/{run_id}"
    document = '{"plan": "wildflower"}'
    request = pb.CreateRunRequest(request_id=run_id, run=plan(), plan=document)
    await served.call("CreateRun", request)
    await keep(name)
    await served.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    archive = await export(served, name, audience=audience, format=kind)
    files = unzipped(archive).values() if kind == pb.EXPORT_FORMAT_ZIP else [archive]
    assert not any(b"wildflower" in one for one in files)
    whole = unzipped(await export(served, name))
    assert b"wildflower" in whole[f"{run_id}/01_step_output.json"]


async def record(world: World, run: str, upload: str, kind: str, **values: Any) -> int:
    request = pb.RecordEntityRequest(
        upload=f"{run}/uploads/{upload}", entity=entity(kind, **values), data=b'{"a": 1}'
    )
    sequence: int = (await world.call("RecordEntity", request)).entity.sequence
    return sequence


async def open_questions(world: World, run: str) -> list[int]:
    """As the run and the list tell them."""
    listed = (await world.call("ListRuns", pb.ListRunsRequest(audience=RESEARCH))).runs
    (one,) = (one for one in listed if one.name == run)
    asked = list((await world.get(run)).open_questions)
    assert list(one.open_questions) == asked
    return asked


async def test_a_question_is_open_until_a_decision_names_it(world: World) -> None:
    run = await create(world)
    assert await open_questions(world, run) == []
    first = await record(world, run, "q1", "question")
    second = await record(world, run, "q2", "question")
    assert await open_questions(world, run) == [first, second]
    await record(world, run, "d0", "decision", metadata={"question": "99"})
    await record(world, run, "d00", "decision")
    assert await open_questions(world, run) == [first, second]
    await record(world, run, "d2", "decision", metadata={"question": str(second)})
    await world.restart()
    assert await open_questions(world, run) == [first]
    await world.finalize(run, run_pb2.RUN_STATE_CANCELLED)
    assert await open_questions(world, run) == []
    await world.restart()
    assert await open_questions(world, run) == []


@pytest.mark.parametrize("kind", ["question", "decision", "step_output"])
async def test_what_a_pipeline_keeps_is_json(served: World, kind: str) -> None:
    run = await finished_run(served, before_the_end=lambda run: keep(served, run, kind))
    kept = [one for one in (await served.get(run)).entities if one.type == kind]
    assert [one.media_type for one in kept] == ["application/json"]
    assert kept[0].filename == f"05_{kind}.json"


async def keep(world: World, run: str, kind: str) -> None:
    await record(world, run, "kept", kind)
