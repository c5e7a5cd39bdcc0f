"""Finding what was made in exactly the same way before: the person's own, as the record says."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import NotFound
from services.recorder.store.layout import index_file
from tests.integration.recorder.archives import export, take_in
from tests.integration.recorder.harness import PNG, World, entity, world_of

DIGEST, OTHER = "a1" * 32, "b2" * 32
SUCCEEDED, FAILED = run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED


async def ends(world: World, name: str, state: run_pb2.RunState.ValueType = SUCCEEDED) -> None:
    error = None if state == SUCCEEDED else run_pb2.RunError(reason="SOME_REASON")
    output = run_pb2.Output(index=1, state=state, error=error)
    await world.call("FinalizeOutput", pb.FinalizeOutputRequest(name=name, output=output))


async def draw(world: World, name: str, *digests: str | None) -> Sequence[run_pb2.Entity]:
    """Record files of the first output."""
    made = []
    for number, digest in enumerate(digests):
        metadata = {"seed": "7"} if digest is None else {"render_digest": digest}
        of = entity(output_index=1, metadata=metadata)
        made.append(await world.record(f"{name}/uploads/o{number}", PNG, of))
    return made


async def rendered(world: World, *digests: str | None, **changes: Any) -> str:
    """A final run whose output has succeeded with these files."""
    world.clock.advance(1)
    name = await world.create(**changes)
    await draw(world, name, *(digests or (DIGEST,)))
    await ends(world, name)
    await world.finalize(name, SUCCEEDED)
    return name


async def find(world: World, digest: str = DIGEST, user_id: str = "pseudonym-1") -> list[str]:
    request = pb.FindRenderRequest(user_id=user_id, render_digest=digest)
    try:
        found = (await world.call("FindRender", request)).entities
    except NotFound as error:
        if error.reason != "RENDER_NOT_FOUND":
            raise
        return []
    assert {one.metadata["render_digest"] for one in found} == {digest}
    return [one.name for one in found]


async def test_the_newest_output_made_in_this_way_is_found_with_all_its_files(
    world: World,
) -> None:
    assert await find(world) == []
    await rendered(world)
    newest = await rendered(world, DIGEST, DIGEST, DIGEST)
    await rendered(world, OTHER)
    assert await find(world) == [f"{newest}/entities/{number}" for number in (1, 2, 3)]
    await world.restart()
    assert await find(world) == [f"{newest}/entities/{number}" for number in (1, 2, 3)]


async def test_nobody_is_given_what_was_made_for_somebody_else(world: World) -> None:
    other = await rendered(world, user_id="pseudonym-2")
    assert await find(world) == []
    assert await find(world, user_id="pseudonym-2") == [f"{other}/entities/1"]


async def test_an_output_is_found_once_it_has_succeeded_also_in_an_open_run(world: World) -> None:
    name = await world.create()
    await draw(world, name, DIGEST)
    assert await find(world) == []
    await ends(world, name)
    assert await find(world) == [f"{name}/entities/1"]
    failed = await world.create()
    await draw(world, failed, DIGEST)
    await ends(world, failed, FAILED)
    assert await find(world) == [f"{name}/entities/1"]


async def test_files_that_were_made_in_different_ways_are_not_found(world: World) -> None:
    await rendered(world, DIGEST, OTHER)
    await rendered(world, DIGEST, None)
    await rendered(world, None)
    assert (await find(world), await find(world, OTHER)) == ([], [])


async def test_what_was_deleted_or_erased_is_not_found(world: World) -> None:
    older = await rendered(world)
    newer = await rendered(world)
    name = await world.create()
    await draw(world, name, DIGEST, DIGEST)
    await ends(world, name)
    request = pb.EraseEntityRequest(name=f"{name}/entities/2", reason="SAFETY_BLOCKED")
    await world.call("EraseEntity", request)
    assert await find(world) == [f"{newer}/entities/1"]
    await world.call("DeleteRun", pb.DeleteRunRequest(name=newer))
    assert await find(world) == [f"{older}/entities/1"]
    await world.call("DeleteRun", pb.DeleteRunRequest(name=older))
    assert await find(world) == []


async def test_what_was_imported_is_nobodys_to_reuse(tmp_path: Path) -> None:
    async with world_of("grpc", tmp_path / "source") as source:
        name = await rendered(source)
        assert await find(source) == [f"{name}/entities/1"]
        archive = await export(source, name)
    async with world_of("grpc", tmp_path / "runs") as world:
        answer = await take_in(world, archive)
        assert list(answer.imported) == [name]
        # The same pseudonym may be another person here.
        assert await find(world) == []
        await world.restart()
        assert await find(world) == []
        own = await rendered(world)
        assert await find(world) == [f"{own}/entities/1"]


async def test_a_run_that_was_imported_and_deleted_leaves_no_mark(tmp_path: Path) -> None:
    async with world_of("grpc", tmp_path / "source") as source:
        name = await rendered(source)
        archive = await export(source, name)
    async with world_of("grpc", tmp_path / "runs") as world:
        await take_in(world, archive)
        marks = world.root / ".imported"
        assert [one.name for one in marks.iterdir()] == [world.folder(name).name]
        await world.stop()
        shutil.rmtree(world.root / ".index")
        await world.start()
        assert await find(world) == []
        await world.call("DeleteRun", pb.DeleteRunRequest(name=name))
        assert not list(marks.iterdir())


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_what_somebody_harmed_is_passed_over(disk: World, *, is_restarted: bool) -> None:
    whole = await rendered(disk)
    lost, cut, torn, gone = [await rendered(disk) for _ in range(4)]
    assert await find(disk) == [f"{gone}/entities/1"]
    (disk.folder(lost) / "01_output_image.png").unlink()
    (disk.folder(cut) / "01_output_image.png").write_bytes(b"cut")
    (disk.folder(torn) / "metadata.json").write_bytes(b"{}")
    shutil.rmtree(disk.folder(gone))
    if is_restarted:
        await disk.restart()
    assert await find(disk) == [f"{whole}/entities/1"]


async def test_an_index_that_is_made_anew_knows_the_same(disk: World) -> None:
    names = [await rendered(disk, digest) for digest in (DIGEST, OTHER, DIGEST)]
    before = (await find(disk), await find(disk, OTHER))
    assert before == ([f"{names[2]}/entities/1"], [f"{names[1]}/entities/1"])
    await disk.stop()
    shutil.rmtree(disk.root / ".index")
    await disk.start()
    assert (await find(disk), await find(disk, OTHER)) == before


async def test_an_index_that_is_wrong_does_not_make_it_true(disk: World) -> None:
    await rendered(disk, OTHER)
    await rendered(disk, user_id="pseudonym-2")
    await disk.stop()
    connection = sqlite3.connect(index_file(disk.root))
    with connection:
        wrong = "UPDATE renders SET user_id = 'pseudonym-1', digest = ?"
        assert connection.execute(wrong, (DIGEST,)).rowcount == 2
    connection.close()
    await disk.start()
    assert await find(disk) == []
