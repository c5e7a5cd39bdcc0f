"""No silent corruption: whatever changes on the disk is told, of that run and of no other."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError, DataLoss
from services.recorder.care import CareLimits
from services.recorder.scrubber import ScrubLimits
from services.recorder.verify import verify_run
from tests.integration.recorder.harness import PNG, World, entity, world_of

RESEARCH = run_pb2.AUDIENCE_RESEARCH
METADATA = "metadata.json"
WEEK = 7 * 86400.0
CARE = CareLimits(scrub=ScrubLimits(bytes_per_second=1e9, interval_seconds=WEEK))


async def whole_run(world: World) -> str:
    """A final run with one of everything that a record has."""
    name = await world.create()
    progress = pb.SetProgressRequest(name=name, stage=1, step="translation")
    await world.call("SetProgress", progress)
    await world.record(f"{name}/uploads/a", b"Eine Blume")
    await world.record(f"{name}/uploads/b", b'{"decision": "safe"}', entity("safety"))
    picture = entity("output_image", output_index=1, metadata={"node": "Bl\u00fcte \U0001f338"})
    await world.record(f"{name}/uploads/c", PNG, picture)
    await world.finalize(name, run_pb2.RUN_STATE_FAILED)
    return name


def flipped(data: bytes, *, every_bit: bool, seed: int) -> Iterator[tuple[int, bytes]]:
    """The data with one bit changed: at each byte one of them, or every one."""
    chance = random.Random(seed)
    for at in range(len(data)):
        for bit in range(8) if every_bit else [chance.randrange(8)]:
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            yield at, bytes(changed)


async def refusal(call: Awaitable[Any]) -> str:
    """Why a call was refused: the code and the reason; empty when it was not."""
    try:
        await call
    except ArtlabError as error:
        return f"{error.code} {error.reason}"
    return ""


def got(world: World, name: str, *, document: bool = False) -> Awaitable[Any]:
    request = pb.GetRunRequest(name=name, include_document=document, audience=RESEARCH)
    return world.call("GetRun", request)


async def listed(world: World) -> list[str]:
    answer = await world.call("ListRuns", pb.ListRunsRequest(audience=RESEARCH))
    return [run.name for run in answer.runs]


async def flip_metadata(world: World, *, every_bit: bool, stride: int = 1) -> None:
    name, other = await whole_run(world), await whole_run(world)
    file = world.folder(name) / METADATA
    good = file.read_bytes()
    for at, changed in flipped(good, every_bit=every_bit, seed=1):
        if at % stride:
            continue
        file.write_bytes(changed)
        where = f"byte {at}: {changed[max(0, at - 10) : at + 10]!r}"
        assert await refusal(got(world, name)) == "DATA_LOSS METADATA_CORRUPT", where
        if at % 7 == 0 or every_bit:
            for call in (
                got(world, name, document=True),
                world.read(f"{name}/entities/1"),
                world.finalize(name, run_pb2.RUN_STATE_CANCELLED),
            ):
                assert await refusal(call) == "DATA_LOSS METADATA_CORRUPT", where
        assert verify_run(world.folder(name)), where
        if at % 50 == 0:
            assert await listed(world) == [other], where
            assert (await world.get(other)).name == other
    file.write_bytes(good)
    assert (await world.get(name)).name == name
    assert sorted(await listed(world)) == sorted([name, other])


async def flip_entities(world: World, *, every_bit: bool) -> None:
    name = await whole_run(world)
    run = await world.get(name)
    for one in run.entities:
        file = world.folder(name) / one.filename
        good = file.read_bytes()
        others = [other for other in run.entities if other is not one]
        for at, changed in flipped(good, every_bit=every_bit, seed=2):
            file.write_bytes(changed)
            assert await refusal(world.read(one.name)) == "DATA_LOSS ENTITY_CORRUPT", at
            part = world.read(one.name, (at + 1) % len(good), 1)
            assert await refusal(part) == "DATA_LOSS ENTITY_CORRUPT", f"{at}, reading another byte"
            found = verify_run(world.folder(name))
            assert found == [f"{one.filename}: not the recorded SHA-256"]
        for other in others:
            assert await world.read(other.name)
        assert await world.get(name) == run
        file.write_bytes(good)
        assert await world.read(one.name) == good


async def test_a_flip_of_one_byte_of_metadata_in_five_is_told(served: World) -> None:
    await flip_metadata(served, every_bit=False, stride=5)


async def test_a_flip_of_any_byte_of_an_entity_is_told(served: World) -> None:
    await flip_entities(served, every_bit=False)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_flip_of_any_bit_of_metadata_is_told(served: World) -> None:
    await flip_metadata(served, every_bit=True)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_flip_of_any_bit_of_an_entity_is_told(served: World) -> None:
    await flip_entities(served, every_bit=True)


async def test_the_scrubber_finds_what_a_reader_would(tmp_path: Path) -> None:
    async with world_of("disk", tmp_path / "runs", care=CARE) as world:
        name = await whole_run(world)
        for file in sorted(world.folder(name).iterdir()):
            good = file.read_bytes()
            for at in {0, len(good) // 2, len(good) - 1}:
                changed = bytearray(good)
                changed[at] ^= 0x10
                file.write_bytes(changed)
                world.clock.advance(WEEK)
                await world.recorder.care.scrubber.scrub()
                status = await world.call("GetStoreStatus", pb.GetStoreStatusRequest())
                assert [one.name for one in status.damages] == [name]
                assert status.damages[0].message.startswith(f"{file.name}: ")
            file.write_bytes(good)


async def test_a_change_that_says_the_same_is_told_as_well(disk: World) -> None:
    name = await whole_run(disk)
    file = disk.folder(name) / METADATA
    good = file.read_bytes()
    for changed in (
        good.replace(b"  ", b"\t ", 1),
        good.replace(b"\n", b"\r", 1),
        good.replace(b'"seed": 7', b'"seed":\t7'),
        good.replace(b'"dada"', b'"\\u0064ada"'),
        good.replace(b'"seed": 7', b'"seed": 7, "seed": 7'),
        good + b"\n",
        good.rstrip(),
        b"\n" + good,
        good.replace(b" ", b"").replace(b"\n", b""),
    ):
        assert changed != good
        file.write_bytes(changed)
        for document in (False, True):
            with pytest.raises(DataLoss) as caught:
                await got(disk, name, document=document)
            assert caught.value.reason == "METADATA_CORRUPT"
        assert verify_run(disk.folder(name)) != []


@dataclass(frozen=True)
class Harm:
    """Something that happens to one file of a run folder."""

    name: str
    do: Callable[[Path, random.Random], None]

    def __repr__(self) -> str:
        return self.name


def truncate(file: Path, chance: random.Random) -> None:
    os.truncate(file, chance.randrange(file.stat().st_size))


def extend(file: Path, chance: random.Random) -> None:
    with file.open("ab") as end:
        end.write(chance.randbytes(chance.randrange(1, 5000)))


def overwrite(file: Path, chance: random.Random) -> None:
    file.write_bytes(chance.randbytes(file.stat().st_size))


def zero_a_block(file: Path, chance: random.Random) -> None:
    data = bytearray(file.read_bytes())
    at = chance.randrange(len(data))
    data[at : at + 4096] = bytes(len(data[at : at + 4096]))
    file.write_bytes(data)


def swap(file: Path, chance: random.Random) -> None:
    # Only with a file: reading what an earlier harm made a FIFO would never end.
    others = [one for one in sorted(file.parent.iterdir()) if one != file and one.is_file()]
    other = chance.choice(others)
    data = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(data)


def remove(file: Path, _: random.Random) -> None:
    file.unlink()


def make_folder(file: Path, _: random.Random) -> None:
    file.unlink()
    file.mkdir()


def make_fifo(file: Path, _: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def link_to_a_copy(file: Path, _: random.Random) -> None:
    copy = file.parent.parent / ".copy"
    copy.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(copy)


def dangle(file: Path, _: random.Random) -> None:
    file.unlink()
    file.symlink_to("nowhere")


HARMS = [
    Harm(harm.__name__, harm)
    for harm in (
        truncate,
        extend,
        overwrite,
        zero_a_block,
        swap,
        remove,
        make_folder,
        make_fifo,
        link_to_a_copy,
        dangle,
    )
]


async def harm_is_told(world: World, harm: Harm, place: int, seed: int) -> None:
    name, other = await whole_run(world), await whole_run(world)
    files = sorted(world.folder(name).iterdir())
    good = {file: file.read_bytes() for file in files}
    file = files[place % len(files)]
    harm.do(file, random.Random(seed))
    if all(state_of(one) == good[one] for one in files):
        return  # zeros where zeros were
    answers = [await refusal(got(world, name))]
    if not answers[0]:
        for one in (await world.get(name)).entities:
            answers.append(await refusal(world.read(one.name)))
    assert set(answers) & {"DATA_LOSS METADATA_CORRUPT", "DATA_LOSS ENTITY_CORRUPT"}
    assert set(answers) <= {"", "DATA_LOSS METADATA_CORRUPT", "DATA_LOSS ENTITY_CORRUPT"}
    assert verify_run(world.folder(name)) != []
    assert verify_run(world.folder(other)) == []
    assert other in await listed(world)
    for one in (await world.get(other)).entities:
        assert await world.read(one.name)
    for run in (name, other):
        await world.call("DeleteRun", pb.DeleteRunRequest(name=run))
    assert await listed(world) == []


@pytest.mark.parametrize("harm", HARMS, ids=repr)
@pytest.mark.parametrize("place", range(4), ids=["entity 1", "entity 2", "entity 3", "metadata"])
async def test_harm_to_any_file_is_told_and_stays_with_its_run(
    served: World, harm: Harm, place: int
) -> None:
    await harm_is_told(served, harm, place, seed=place)


@settings(max_examples=30, deadline=None)
@given(
    harms=st.lists(st.tuples(st.sampled_from(HARMS), st.integers(0, 3)), min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
)
def test_no_order_of_harms_stays_unseen(harms: list[tuple[Harm, int]], seed: int) -> None:
    async def harm() -> None:
        with TemporaryDirectory() as folder:
            async with world_of("disk", Path(folder) / "runs") as world:
                chance = random.Random(seed)
                name = await whole_run(world)
                files = sorted(world.folder(name).iterdir())
                good = [state_of(file) for file in files]
                for one, place in harms:
                    if files[place].is_file() and files[place].stat().st_size:
                        one.do(files[place], chance)
                answers = [await refusal(got(world, name))]
                if not answers[0]:
                    entities = (await world.get(name)).entities
                    answers += [await refusal(world.read(entity.name)) for entity in entities]
                is_harmed = [state_of(file) for file in files] != good
                assert (set(answers) != {""}) is is_harmed
                assert (verify_run(world.folder(name)) != []) is is_harmed

    asyncio.run(harm())


def state_of(file: Path) -> bytes | None:
    """The bytes of a file; None when it is none."""
    return file.read_bytes() if file.is_file() and not file.is_symlink() else None
