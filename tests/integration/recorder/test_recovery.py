"""What a start finds, and what it makes of it."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import DataLoss, FailedPrecondition, NotFound
from services.kit.ids import UploadName
from services.recorder.domain.entity import EntityDraft
from services.recorder.domain.upload import UploadRecord
from services.recorder.domain.vocabulary import Audience, EntityType
from services.recorder.store.codec import encode_upload
from services.recorder.store.disk import DiskStore
from services.recorder.verify import verify_run
from tests.integration.recorder.harness import (
    World,
    entity,
    metadata_of,
    picture,
    stream,
    world_of,
)

DATA = b"Eine Blume"
DRAFT = EntityDraft(EntityType.INPUT, 0, {}, 0, 0, None, None, 1, Audience.STUDENT, ())


async def interrupted(world: World, name: str, data: bytes = DATA) -> tuple[UploadRecord, Path]:
    """Stop after step 3 of a commit: bytes and intent are there, nothing else."""
    run = await world.recorder.get_run(UploadName.parse(f"{name}/uploads/x").run)
    upload = UploadName.parse(f"{name}/uploads/x")
    intent = run.next_entity(
        DRAFT,
        upload.upload_id,
        media_type="text/plain",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        now=world.clock.now(),
    )
    record = UploadRecord(upload, DRAFT, world.clock.now(), intent)
    await world.stop()
    stem = world.root / ".uploads" / f"{upload.run}.{upload.upload_id}"
    stem.with_name(stem.name + ".json").write_bytes(encode_upload(record))
    file = stem.with_name(stem.name + ".data")
    file.write_bytes(data)
    return record, file


async def test_a_commit_cut_after_its_intent_is_finished(disk: World) -> None:
    name = await disk.create()
    await interrupted(disk, name)
    await disk.start()
    run = await disk.get(name)
    assert [one.filename for one in run.entities] == ["01_input.txt"]
    assert await disk.read(run.entities[0].name) == DATA
    assert run.last_event_seq == 2
    assert disk.unfinished_bytes() == 0
    assert verify_run(disk.folder(name)) == []
    again = await disk.record(f"{name}/uploads/x", DATA)
    assert again == run.entities[0]


async def test_a_commit_cut_after_the_rename_is_finished(disk: World) -> None:
    name = await disk.create()
    _, file = await interrupted(disk, name)
    file.rename(disk.folder(name) / "01_input.txt")
    await disk.start()
    assert [one.filename for one in (await disk.get(name)).entities] == ["01_input.txt"]
    assert verify_run(disk.folder(name)) == []


async def test_a_commit_cut_before_its_record_was_dropped_is_not_repeated(disk: World) -> None:
    name = await disk.create()
    entity_before = await disk.record(f"{name}/uploads/x", DATA)
    run = await disk.recorder.get_run(UploadName.parse(f"{name}/uploads/x").run)
    upload = UploadName.parse(f"{name}/uploads/x")
    record = UploadRecord(upload, DRAFT, disk.clock.now(), run.entities[0])
    await disk.stop()
    left = disk.root / ".uploads" / f"{upload.run}.x.json"
    left.write_bytes(encode_upload(record))
    await disk.start()
    assert list((await disk.get(name)).entities) == [entity_before]
    assert not left.exists()


async def test_a_commit_whose_bytes_are_wrong_is_dropped(disk: World) -> None:
    name = await disk.create()
    _, file = await interrupted(disk, name)
    file.write_bytes(b"Eine Blum?")
    await disk.start()
    assert not (await disk.get(name)).entities
    assert disk.unfinished_bytes() == 0
    assert (await disk.record(f"{name}/uploads/x", DATA)).sequence == 1


async def test_a_commit_whose_bytes_are_wrong_in_the_run_folder_is_moved_away(
    disk: World,
) -> None:
    name = await disk.create()
    _, file = await interrupted(disk, name)
    file.unlink()
    (disk.folder(name) / "01_input.txt").write_bytes(b"Eine Blum?")
    await disk.start()
    assert not (await disk.get(name)).entities
    assert verify_run(disk.folder(name)) == []
    orphans = list((disk.root / ".orphans").iterdir())
    assert [one.read_bytes() for one in orphans] == [b"Eine Blum?"]
    await disk.call("DeleteRun", pb.DeleteRunRequest(name=name))
    assert not list((disk.root / ".orphans").iterdir())


async def test_an_unreadable_upload_record_is_dropped(disk: World) -> None:
    name = await disk.create()
    record, _ = await interrupted(disk, name)
    left = disk.root / ".uploads" / f"{record.name.run}.x.json"
    left.write_bytes(left.read_bytes()[:-20])
    await disk.start()
    assert not (await disk.get(name)).entities
    assert not list((disk.root / ".uploads").iterdir())


async def test_an_upload_into_a_run_that_is_gone_is_dropped(disk: World) -> None:
    name = await disk.create()
    await disk.write(stream(f"{name}/uploads/o", picture(3000), finish=False))
    await disk.stop()
    for file in disk.folder(name).iterdir():
        file.unlink()
    disk.folder(name).rmdir()
    await disk.start()
    assert disk.unfinished_bytes() == 0


async def test_temporary_files_are_removed_and_other_files_left_alone(disk: World) -> None:
    name = await disk.create()
    await disk.stop()
    temporary = disk.folder(name) / "metadata.json.tmp"
    temporary.write_bytes(b"{")
    note = disk.folder(name) / "notes of a teacher.txt"
    note.write_text("mine")
    await disk.start()
    assert not temporary.exists()
    assert note.read_text() == "mine"
    await disk.record(f"{name}/uploads/x", DATA)


async def test_a_creation_that_was_cut_short_counts_as_none(disk: World) -> None:
    name = "runs/528e5af9-59b3-4551-b101-27e13dd6e43e"
    await disk.stop()
    disk.folder(name).mkdir()
    (disk.folder(name) / "metadata.json.tmp").write_bytes(b"{")
    await disk.start()
    assert not disk.folder(name).exists()
    assert await disk.create(name.removeprefix("runs/")) == name


async def test_leftovers_of_a_deletion_are_removed(disk: World) -> None:
    await disk.stop()
    trashed = disk.root / ".trash" / "528e5af9-59b3-4551-b101-27e13dd6e43e.0a0b0c0d"
    trashed.mkdir()
    (trashed / "01_input.txt").write_bytes(DATA)
    await disk.start()
    assert not trashed.exists()


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "missing", "folder", "link"])
async def test_a_damaged_run_is_data_loss_and_disturbs_no_other(
    disk: World, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, healthy = await disk.create(), await disk.create()
    await disk.record(f"{damaged}/uploads/x", DATA)
    await disk.stop()
    file = disk.folder(damaged) / "metadata.json"
    good = file.read_bytes()
    match damage:
        case "flipped":
            file.write_bytes(good.replace(b'"dada"', b'"dadb"'))
        case "truncated":
            file.write_bytes(good[: len(good) // 2])
        case "empty":
            file.write_bytes(b"")
        case "missing":
            file.unlink()
        case "folder":
            file.unlink()
            file.mkdir()
        case "link":
            file.unlink()
            file.symlink_to(disk.folder(healthy) / "metadata.json")
    with caplog.at_level(logging.ERROR):
        await disk.start()
    assert "run is damaged" in caplog.messages
    listed = await disk.call("ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH))
    assert [run.name for run in listed.runs] == [healthy]
    for call, request in (
        ("GetRun", pb.GetRunRequest(name=damaged, audience=run_pb2.AUDIENCE_RESEARCH)),
        ("SetProgress", pb.SetProgressRequest(name=damaged, stage=1, step="x")),
        ("FinalizeRun", pb.FinalizeRunRequest(name=damaged, state=run_pb2.RUN_STATE_CANCELLED)),
    ):
        with pytest.raises(DataLoss) as caught:
            await disk.call(call, request)
        assert caught.value.reason == "METADATA_CORRUPT"
    with pytest.raises(DataLoss):
        await disk.record(f"{damaged}/uploads/y", DATA)
    await disk.record(f"{healthy}/uploads/y", DATA)
    await disk.call("DeleteRun", pb.DeleteRunRequest(name=damaged))
    with pytest.raises(NotFound):
        await disk.get(damaged)


async def test_a_repaired_run_is_there_again(disk: World) -> None:
    name = await disk.create()
    await disk.stop()
    file = disk.folder(name) / "metadata.json"
    good = file.read_bytes()
    file.write_bytes(b"{}")
    await disk.start()
    with pytest.raises(DataLoss):
        await disk.get(name)
    await disk.stop()
    file.write_bytes(good)
    await disk.start()
    assert (await disk.get(name)).name == name


async def test_damage_to_a_final_run_is_found_without_a_restart(disk: World) -> None:
    name = await disk.create()
    await disk.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    file = disk.folder(name) / "metadata.json"
    file.write_bytes(file.read_bytes().replace(b'"seed": 7', b'"seed": 8'))
    for document in (False, True):
        with pytest.raises(DataLoss):
            await disk.call(
                "GetRun",
                pb.GetRunRequest(
                    name=name, include_document=document, audience=run_pb2.AUDIENCE_RESEARCH
                ),
            )


async def test_a_second_store_on_the_same_root_is_refused(disk: World) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        DiskStore(disk.root).open()
    assert caught.value.reason == "STORE_LOCKED"
    await disk.restart()


async def test_a_root_is_made_only_below_a_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        DiskStore(tmp_path / "not mounted" / "runs").open()
    assert caught.value.reason == "STORE_MISSING"
    assert not (tmp_path / "not mounted").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(FailedPrecondition):
        DiskStore(tmp_path / "file").open()


async def test_a_run_folder_that_is_a_link_is_no_run(tmp_path: Path) -> None:
    async with world_of("disk", tmp_path / "other") as other:
        name = await other.create()
    async with world_of("disk", tmp_path / "runs") as world:
        await world.stop()
        world.folder(name).symlink_to(other.folder(name))
        await world.start()
        assert not (
            await world.call("ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH))
        ).runs
        with pytest.raises(DataLoss):
            await world.get(name)


async def test_metadata_tells_existing_readers_what_they_know(disk: World) -> None:
    name = await disk.create()
    await disk.call("SetProgress", pb.SetProgressRequest(name=name, stage=1, step="translation"))
    await disk.record(f"{name}/uploads/x", DATA, entity("input", metadata={"language": "de"}))
    document = metadata_of(disk, name)
    assert document["run_id"] == name.removeprefix("runs/")
    assert document["timestamp"] == "2026-01-01T00:00:00.000000Z"
    assert document["config_name"] == "dada"
    assert document["execution_mode"] == "eco"
    assert document["safety_level"] == "youth"
    assert document["user_id"] == "pseudonym-1"
    assert document["expected_outputs"] == ["input", "output_image"]
    assert document["completed_outputs"] == ["input"]
    assert document["current_state"] == {
        "stage": 1,
        "step": "translation",
        "progress": "1/2",
        "output_index": 0,
    }
    [only] = document["entities"]
    assert (only["sequence"], only["type"], only["filename"]) == (1, "input", "01_input.txt")
    assert only["timestamp"].endswith("Z")
    assert only["metadata"] == {"language": "de"}
    assert (disk.folder(name) / "01_input.txt").read_bytes() == DATA
    assert sorted(os.listdir(disk.folder(name))) == ["01_input.txt", "metadata.json"]


async def test_a_record_of_another_upload_is_dropped(disk: World) -> None:
    name = await disk.create()
    record, _ = await interrupted(disk, name)
    other = replace(record, name=UploadName(record.name.run, "y"))
    (disk.root / ".uploads" / f"{record.name.run}.x.json").write_bytes(encode_upload(other))
    await disk.start()
    assert not (await disk.get(name)).entities


def test_verify_finds_each_defect(tmp_path: Path) -> None:
    assert verify_run(tmp_path)[0].endswith("its name is no run id")
    folder = tmp_path / "528e5af9-59b3-4551-b101-27e13dd6e43e"
    assert verify_run(folder) == [f"{folder}: No such file or directory"]
    folder.mkdir()
    assert verify_run(folder) == ["metadata.json: No such file or directory"]
    (folder / "metadata.json").write_bytes(b"{}")
    assert verify_run(folder) == ["metadata.json: the checksum does not match"]


async def test_verify_agrees_until_something_is_changed(disk: World) -> None:
    name = await disk.create(outputs=[])
    await disk.record(f"{name}/uploads/a", DATA)
    await disk.record(f"{name}/uploads/b", b'{"safe": true}', entity("safety"))
    await disk.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)
    folder = disk.folder(name)
    assert verify_run(folder) == []
    (folder / "03_output_image.png").write_bytes(b"x")
    (folder / "01_input.txt").write_bytes(b"Eine Blum?")
    (folder / "02_safety.json").unlink()
    assert verify_run(folder) == [
        "01_input.txt: not the recorded SHA-256",
        "02_safety.json: No such file or directory",
        "03_output_image.png: not listed in metadata.json",
    ]
    document = orjson.loads((folder / "metadata.json").read_bytes())
    document["status"] = "partial"
    (folder / "metadata.json").write_bytes(orjson.dumps(document))
    assert verify_run(folder) == ["metadata.json: the checksum does not match"]
