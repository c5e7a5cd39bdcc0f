"""An output that was made before in exactly the same way, for the same person, is taken again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from artlab.recorder.v1 import recorder_pb2, run_pb2
from tests.fakes.media_backend import picture_bytes
from tests.integration.media.world import CALL_SECONDS, World, request, sha256

# The one the runs of these tests belong to.
ME = "pseudonym-1"


async def made(world: World, **changes: Any) -> list[run_pb2.Entity]:
    """Make an output of a fresh run, end it well, and return what was recorded."""
    upload = await world.upload()
    values = {"user_id": ME, "allow_reuse": True} | changes
    call = world.media.GenerateMedia(request(upload, **values), timeout=CALL_SECONDS)
    answers = [answer async for answer in call]
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
    name = upload.partition("/uploads/")[0]
    await world.recorder.FinalizeOutput(
        recorder_pb2.FinalizeOutputRequest(name=name, output=output), timeout=CALL_SECONDS
    )
    return list(answers[-1].result.entities)


@pytest.fixture
def ready(world: World) -> World:
    """A backend that makes something else each time it is asked."""
    world.backend.go.set()
    world.backend.data, world.backend.others = picture_bytes(300_000, 1), [picture_bytes(900, 2)]
    return world


async def test_an_equal_output_is_taken_again_with_all_its_files_and_says_from_where(
    ready: World,
) -> None:
    first = await made(ready)
    expected = [sha256(ready.backend.data), sha256(ready.backend.others[0])]
    ready.backend.data = picture_bytes(2000, 9)
    again = await made(ready)
    assert len(ready.backend.jobs) == 1
    assert [entity.digest.sha256 for entity in again] == expected
    assert [entity.metadata["reused_from"] for entity in again] == [one.name for one in first]
    assert {entity.metadata["render_digest"] for entity in (*first, *again)} == {
        first[0].metadata["render_digest"]
    }
    assert again[0].models_used == first[0].models_used
    assert again[0].metadata["seed"] == "42"
    # The request is another one: its digest is its own.
    assert again[0].metadata["request_digest"] != first[0].metadata["request_digest"]
    assert "reused_from" not in first[0].metadata


@pytest.mark.parametrize(
    "change",
    [
        {"allow_reuse": False},
        {"user_id": ""},
        {"user_id": "somebody-else"},
        {"seed": 43},
        {"seed": None},
        {"prompt": "Ein Hund im Regen"},
        {"recipe": "bauhaus"},
        {"parameters": {"style": '"wild"'}},
    ],
    ids=str,
)
async def test_whatever_differs_is_made(ready: World, change: dict[str, object]) -> None:
    await made(ready)
    (entity, _) = await made(ready, **change)
    assert len(ready.backend.jobs) == 2
    assert "reused_from" not in entity.metadata


async def test_what_did_not_succeed_is_not_taken_again(ready: World) -> None:
    upload = await ready.upload()
    call = ready.media.GenerateMedia(
        request(upload, user_id=ME, allow_reuse=True), timeout=CALL_SECONDS
    )
    assert [answer async for answer in call]
    await made(ready)
    assert len(ready.backend.jobs) == 2


async def test_what_is_found_is_looked_into_like_anything_else(ready: World) -> None:
    first = await made(ready)
    again = await made(ready)
    assert first[0].metadata["width"] == again[0].metadata["width"] == "1"


def damage(folder: Path, pattern: str) -> None:
    (path,) = folder.glob(pattern)
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))


async def test_what_can_no_longer_be_read_is_made(ready: World, tmp_path: Path) -> None:
    first = await made(ready)
    run_id = first[0].name.split("/")[1]
    await asyncio.to_thread(damage, tmp_path, f"runs/**/*{run_id}*/{first[0].filename}")
    again = await made(ready)
    assert len(ready.backend.jobs) == 2
    assert "reused_from" not in again[0].metadata
    assert again[0].digest.sha256 == first[0].digest.sha256
