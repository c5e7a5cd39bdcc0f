"""Reading entities: parts, digests, damage."""

from __future__ import annotations

import os

import pytest

from services.kit.errors import DataLoss, NotFound, OutOfRange
from services.kit.ids import EntityName
from services.recorder.domain.vocabulary import Audience
from services.recorder.reading import CHUNK_BYTES
from tests.integration.recorder.harness import World, picture_of, stream
from tests.support.pictures import AROUND_BYTES

SIZE = 9 * CHUNK_BYTES + 17


PICTURE = picture_of(os.urandom(SIZE - AROUND_BYTES))


async def stored(world: World) -> tuple[str, str, bytes]:
    run = await world.create()
    data = PICTURE
    written = await world.write(stream(f"{run}/uploads/o", data, chunk=256 * 1024))
    return run, written.entity.name, data


@pytest.mark.parametrize(
    ("offset", "limit"),
    [
        (0, 0),
        (0, 1),
        (1, 0),
        (CHUNK_BYTES, CHUNK_BYTES),
        (CHUNK_BYTES - 1, 2),
        (SIZE - 1, 0),
        (SIZE, 0),
        (5, 10 * SIZE),
    ],
)
async def test_any_part_can_be_read(world: World, offset: int, limit: int) -> None:
    _, name, data = await stored(world)
    expected = data[offset : offset + limit] if limit else data[offset:]
    assert await world.read(name, offset, limit) == expected


async def test_past_the_end_is_out_of_range(world: World) -> None:
    _, name, _ = await stored(world)
    with pytest.raises(OutOfRange) as caught:
        await world.read(name, SIZE + 1)
    assert caught.value.reason == "OFFSET_TOO_LARGE"


async def test_an_entity_that_is_not_there_is_not_found(world: World) -> None:
    run, _, _ = await stored(world)
    with pytest.raises(NotFound) as caught:
        await world.read(f"{run}/entities/2")
    assert caught.value.reason == "ENTITY_NOT_FOUND"


@pytest.mark.parametrize("at", [0, SIZE // 2, SIZE - 1])
async def test_a_flipped_byte_is_data_loss_whatever_part_is_read(served: World, at: int) -> None:
    run, name, _ = await stored(served)
    file = served.folder(run) / "01_output_image.png"
    damaged = bytearray(file.read_bytes())
    damaged[at] ^= 1
    file.write_bytes(damaged)
    for offset, limit in ((0, 0), (10, 20), (SIZE - 5, 0)):
        with pytest.raises(DataLoss) as caught:
            await served.read(name, offset, limit)
        assert caught.value.reason == "ENTITY_CORRUPT"


async def test_the_last_chunk_of_damaged_bytes_is_never_sent(disk: World) -> None:
    run, name, data = await stored(disk)
    file = disk.folder(run) / "01_output_image.png"
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    chunks = disk.recorder.read_entity(EntityName.parse(name), 0, 0, Audience.RESEARCH)
    received = 0

    async def receive() -> None:
        nonlocal received
        async for chunk in chunks:
            received += len(chunk)

    with pytest.raises(DataLoss):
        await receive()
    assert CHUNK_BYTES <= received < len(data) - len(data) % CHUNK_BYTES + 1


@pytest.mark.parametrize("damage", ["longer", "shorter", "missing", "link", "folder", "fifo"])
async def test_a_file_that_is_not_the_recorded_one_is_data_loss(served: World, damage: str) -> None:
    run, name, data = await stored(served)
    file = served.folder(run) / "01_output_image.png"
    file.unlink()
    outside = served.root.parent / "outside"
    outside.write_bytes(data)
    match damage:
        case "longer":
            file.write_bytes(data + b"x")
        case "shorter":
            file.write_bytes(data[:-1])
        case "link":
            file.symlink_to(outside)
        case "folder":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
    with pytest.raises(DataLoss) as caught:
        await served.read(name)
    assert caught.value.reason == "ENTITY_CORRUPT"
    assert (await served.get(run)).entities  # the record itself is fine
