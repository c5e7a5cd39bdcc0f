"""An output of several files: every one of them is recorded, shown, exported and counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from services.kit.ids import EntityName
from services.recorder.domain.execution import execution_of
from services.recorder.domain.vocabulary import Audience
from services.recorder.store.codec import decode_run
from services.recorder.verify import verify_run
from tests.integration.recorder.archives import export, png, run_folders, take_in, unzipped
from tests.integration.recorder.harness import PNG, World, entity, stream, world_of

STUDENT, ADVANCED = run_pb2.AUDIENCE_STUDENT, run_pb2.AUDIENCE_ADVANCED
COLOURS = ("teal", "red", "gold")
FILES = ["02_output_image.png", "03_output_image.png", "04_output_image.png"]


async def three_pictures(world: World) -> str:
    """A run with three files of its one output, which is still running."""
    name = await world.create()
    await world.record(f"{name}/uploads/a", b"Eine Blume", entity("input", audience=STUDENT))
    progress = pb.SetProgressRequest(name=name, stage=4, step="media_generation", output_index=1)
    await world.call("SetProgress", progress)
    for number, colour in enumerate(COLOURS):
        of = entity(stage=4, output_index=1, audience=STUDENT)
        upload = f"{name}/uploads/o{number}"
        await world.write(stream(upload, png(colour), chunk=100_000, of=of))
    return name


async def end(world: World, name: str, state: run_pb2.RunState.ValueType) -> None:
    error = None
    if state != run_pb2.RUN_STATE_SUCCEEDED:
        error = run_pb2.RunError(reason="SAFETY_BLOCKED", stage=4)
    output = run_pb2.Output(index=1, state=state, error=error)
    await world.call("FinalizeOutput", pb.FinalizeOutputRequest(name=name, output=output))
    await world.call("FinalizeRun", pb.FinalizeRunRequest(name=name, state=state, error=error))


async def committed(world: World, requests: list[pb.WriteEntityRequest]) -> int:
    """The durable size after an unfinished stream."""
    return (await world.write(requests)).committed_size


async def seen(world: World, name: str, audience: run_pb2.Audience.ValueType) -> list[str]:
    answer = await world.call("GetRun", pb.GetRunRequest(name=name, audience=audience))
    return [one.filename for one in answer.run.entities]


async def read_as_student(world: World, name: str, sequence: int) -> bytes:
    entity_name = EntityName.parse(f"{name}/entities/{sequence}")
    chunks = world.recorder.read_entity(entity_name, 0, 0, Audience.STUDENT)
    return b"".join([chunk async for chunk in chunks])


async def test_all_of_them_are_shown_once_the_output_succeeded(world: World) -> None:
    name = await three_pictures(world)
    run = await world.get(name)
    assert [one.output_index for one in run.entities] == [0, 1, 1, 1]
    assert (run.progress.completed, run.progress.expected) == (4, 4)
    assert await seen(world, name, STUDENT) == ["01_input.txt"]
    for sequence in (2, 3, 4):
        with pytest.raises(PermissionDenied, match="AUDIENCE_TOO_LOW"):
            await read_as_student(world, name, sequence)
    await end(world, name, run_pb2.RUN_STATE_SUCCEEDED)
    await world.restart()
    assert await seen(world, name, STUDENT) == ["01_input.txt", *FILES]
    for sequence, colour in zip((2, 3, 4), COLOURS, strict=True):
        assert await read_as_student(world, name, sequence) == png(colour)


@pytest.mark.parametrize("state", [run_pb2.RUN_STATE_BLOCKED, run_pb2.RUN_STATE_FAILED])
async def test_none_of_them_is_shown_when_it_did_not(
    world: World, state: run_pb2.RunState.ValueType
) -> None:
    name = await three_pictures(world)
    await end(world, name, state)
    for audience in (STUDENT, ADVANCED):
        assert await seen(world, name, audience) == ["01_input.txt"]
    for sequence in (2, 3, 4):
        with pytest.raises(PermissionDenied, match="AUDIENCE_TOO_LOW"):
            await read_as_student(world, name, sequence)


@pytest_asyncio.fixture
async def other(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "other") as opened:
        yield opened


async def test_no_file_is_added_to_an_output_that_has_succeeded(world: World) -> None:
    name = await three_pictures(world)
    of = entity(stage=4, output_index=1, audience=STUDENT)
    begun = stream(f"{name}/uploads/o8", png("blue"), chunk=32, of=of)
    size = await committed(world, begun[:2])
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
    await world.call("FinalizeOutput", pb.FinalizeOutputRequest(name=name, output=output))
    # Nobody has looked at them, and they would be shown at once.
    with pytest.raises(FailedPrecondition, match="OUTPUT_FINAL"):
        await world.record(f"{name}/uploads/o9", PNG, of)
    begun[2].upload = begun[0].upload
    with pytest.raises(FailedPrecondition, match="OUTPUT_FINAL"):
        await world.write(begun[2:])
    assert size == 64
    # What is about the output, and what is there already, may come.
    await world.record(f"{name}/uploads/e", b"{}", entity("safety_image", output_index=1))
    again = await world.record(f"{name}/uploads/o0", png(COLOURS[0]), of)
    assert again.name == f"{name}/entities/2"
    assert await seen(world, name, STUDENT) == ["01_input.txt", *FILES]


async def test_an_output_that_failed_takes_what_comes_late(world: World) -> None:
    name = await three_pictures(world)
    error = run_pb2.RunError(reason="DEADLINE", stage=4)
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_FAILED, error=error)
    await world.call("FinalizeOutput", pb.FinalizeOutputRequest(name=name, output=output))
    of = entity(stage=4, output_index=1, audience=STUDENT)
    await world.record(f"{name}/uploads/o9", PNG, of)
    assert await seen(world, name, STUDENT) == ["01_input.txt"]


async def test_they_are_in_reports_exports_imports_and_tables(served: World, other: World) -> None:
    name = await three_pictures(served)
    await end(served, name, run_pb2.RUN_STATE_SUCCEEDED)
    run_id = name.removeprefix("runs/")
    archive = await export(served, name, audience=STUDENT)
    assert [one for one in unzipped(archive) if one.endswith(".png")] == [
        f"{run_id}/{file}" for file in FILES
    ]
    page = (await export(served, name, format=pb.EXPORT_FORMAT_HTML)).decode()
    assert page.count('<img src="data:image/png;base64,') == 3
    assert (await take_in(other, await export(served, name))).imported == [name]
    assert run_folders(other.root) == run_folders(served.root)
    assert verify_run(other.folder(name)) == []
    document = (served.folder(name) / "metadata.json").read_bytes()
    run = decode_run(document, next(iter(await served.recorder.run_ids())))
    made = [entity.sequence for entity in execution_of(run).outputs]
    assert made == [entity.sequence for entity in execution_of(run).steps[-1].outputs] == [2, 3, 4]
    stats = await served.call("GetRunStats", pb.GetRunStatsRequest(audience=STUDENT))
    assert stats.entities == 4


async def test_pictures_people_bring_are_pictures_and_verdicts_about_them_are_verdicts(
    world: World,
) -> None:
    name = await world.create()
    of = entity("input_image", stage=1, audience=ADVANCED)
    brought = await world.record(f"{name}/uploads/i", PNG, of)
    verdict = await world.record(
        f"{name}/uploads/v", b'{"decision": "safe"}', entity("safety_image")
    )
    assert (brought.filename, verdict.filename) == ("01_input_image.png", "02_safety_image.json")
    assert verdict.audience == run_pb2.AUDIENCE_RESEARCH
    for kind, data in (("input_image", b"{}"), ("safety_image", PNG)):
        with pytest.raises(InvalidArgument):
            await world.record(f"{name}/uploads/{kind[0]}2", data, entity(kind))
