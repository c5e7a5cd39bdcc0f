"""Recording: bytes to a real recorder, through cuts, restarts and changed products."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.cli.ports import free_ports
from services.kit.channel import open_channel
from services.kit.errors import Unavailable
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.media_backend import ReadFailure, picture_bytes
from tests.integration.media.world import (
    CALL_SECONDS,
    Service,
    World,
    create_run,
    entity_of,
    image_config,
    media_beside,
    request,
    sha256,
)
from tests.support.eventually import eventually
from tests.support.moving_files import film
from tests.support.rpc import refused

pytestmark = pytest.mark.timeout(60)
MIB = 1024 * 1024


@pytest.fixture
async def recorder_process(tmp_path: Path) -> AsyncIterator[Service]:
    """A recorder in a process of its own."""
    port = free_ports(["recorder"])["recorder"]
    service = Service("recorder", port, {"ROOT": str(tmp_path / "runs"), "LOG_LEVEL": "WARNING"})
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def test_large_outputs_are_recorded_byte_for_byte(world: World) -> None:
    world.backend.data = picture_bytes(20 * MIB + 12_345)
    world.backend.go.set()
    entity = await world.made(await world.upload())
    assert entity.digest.size_bytes == 20 * MIB + 12_345
    assert entity.digest.sha256 == sha256(world.backend.data)


async def test_an_output_of_unknown_size_is_recorded_too(world: World) -> None:
    world.backend.sized = False
    world.backend.data = picture_bytes(3 * MIB)
    world.backend.go.set()
    entity = await world.made(await world.upload())
    assert entity.digest.sha256 == sha256(world.backend.data)


async def test_a_product_that_is_cut_is_read_anew_and_continued(world: World) -> None:
    world.backend.data = picture_bytes(5 * MIB)
    error = Unavailable("COMFY_DOWNLOAD_CUT", "cut")
    world.backend.before_chunk = ReadFailure(2 * MIB, 1, error)
    world.backend.go.set()
    entity = await world.made(await world.upload())
    assert entity.digest.sha256 == sha256(world.backend.data)
    assert world.backend.readings == 2


async def test_a_product_that_changed_between_two_readings_begins_anew(world: World) -> None:
    first, second = picture_bytes(5 * MIB, 1), picture_bytes(4 * MIB, 2)
    world.backend.data = first

    def change(offset: int, reading: int) -> None:
        if (offset, reading) == (2 * MIB, 1):
            world.backend.data = second
            raise Unavailable("COMFY_DOWNLOAD_CUT", "cut")

    world.backend.before_chunk = change
    world.backend.go.set()
    entity = await world.made(await world.upload())
    assert entity.digest.sha256 == sha256(second)
    assert await world.bytes_of(entity) == second


async def test_a_product_that_cannot_be_read_leaves_nothing(world: World) -> None:
    world.backend.data = picture_bytes(3 * MIB)
    world.backend.before_chunk = ReadFailure(MIB, 1, OSError("Eine Blume"))
    world.backend.go.set()
    upload = await world.upload()
    async with refused("INTERNAL", "MEDIA_READ_FAILED") as seen:
        await world.made(upload)
    assert "Blume" not in seen.message
    await _nothing_left(world, upload)


async def test_an_output_over_the_limit_is_refused_and_its_space_freed(
    recorder_target: str,
) -> None:
    async with media_beside(recorder_target, max_media_bytes=MIB) as world:
        world.backend.data = picture_bytes(MIB + 1)
        world.backend.go.set()
        upload = await world.upload()
        async with refused("RESOURCE_EXHAUSTED", "MEDIA_TOO_LARGE"):
            await world.made(upload)
        await _nothing_left(world, upload)


async def test_a_run_that_does_not_exist_fails_before_anything_is_rendered(world: World) -> None:
    name = "runs/00000000-0000-4000-8000-000000000000/uploads/output-1"
    async with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        await world.made(name)
    assert not world.backend.jobs


async def test_the_rest_of_an_earlier_process_is_discarded(world: World) -> None:
    upload = await world.upload()
    entity = run_pb2.Entity(type="output_image", output_index=1, stage=4, metadata={"seed": "1"})
    entity.start_time.GetCurrentTime()
    rest = recorder_pb2.WriteEntityRequest(upload=upload, entity=entity, data=picture_bytes(1000))

    async def unfinished() -> AsyncIterator[recorder_pb2.WriteEntityRequest]:
        yield rest

    answer = await world.recorder.WriteEntity(unfinished(), timeout=CALL_SECONDS)
    assert answer.committed_size == 1000
    world.backend.data = picture_bytes(2 * MIB)
    world.backend.go.set()
    made = await world.made(upload)
    assert made.digest.sha256 == sha256(world.backend.data)


async def test_a_recorder_killed_in_the_middle_ends_in_one_whole_entity(
    recorder_process: Service,
) -> None:
    async with media_beside(recorder_process.target) as world:
        world.backend.data = picture_bytes(24 * MIB)
        reached, go_on = threading.Event(), threading.Event()

        def pause(offset: int, reading: int) -> None:
            if (offset, reading) == (8 * MIB, 1):
                reached.set()
                go_on.wait(20)

        world.backend.before_chunk = pause
        world.backend.go.set()
        upload = await world.upload()
        call = asyncio.create_task(_all(world.generate(upload)))
        await eventually(reached.is_set)
        await recorder_process.kill()
        go_on.set()
        await recorder_process.start()
        entity = entity_of(await call)
        assert entity.digest.sha256 == sha256(world.backend.data)
        assert await world.bytes_of(entity) == world.backend.data
        found = await world.recorder.GetRun(
            recorder_pb2.GetRunRequest(
                name=upload.rsplit("/uploads", 1)[0], audience=run_pb2.AUDIENCE_RESEARCH
            ),
            timeout=CALL_SECONDS,
        )
        assert len(found.run.entities) == 1


async def test_a_recorder_that_stays_away_ends_in_the_jobs_deadline(
    recorder_process: Service,
) -> None:
    configs = {"picture": image_config(deadline_seconds=2.0)}
    async with media_beside(recorder_process.target, configs=configs) as world:
        upload = await world.upload()
        call = asyncio.create_task(_all(world.generate(upload)))
        await world.backend.started.wait()
        await recorder_process.kill()
        world.backend.go.set()
        async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
            await call


def large_film(path: Path, size: int) -> None:
    """A film with a hole of zeros behind its table and its pictures."""
    start = film(movflags="faststart")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(start + struct.pack(">I4s", size - len(start), b"free"))
        file.truncate(size)


async def test_a_200_megabyte_output_costs_the_process_no_memory(
    recorder_process: Service, tmp_path: Path
) -> None:
    size = 200 * 1024 * 1024
    video = {"filename": "film.mp4", "subfolder": "", "type": "output"}

    def film_of(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"58": {"images": [video]}} if "58" in outputs else outputs

    script = Script(output_bytes=size, outputs=film_of)
    async with fake_comfyui(script=script) as fake:
        await asyncio.to_thread(large_film, fake.root / "output" / "film.mp4", size)
        port = free_ports(["media"])["media"]
        media = Service(
            "media",
            port,
            {
                "RECORDER_TARGET": recorder_process.target,
                "COMFYUI_URLS": fake.url,
                "LOG_LEVEL": "WARNING",
            },
        )
        await media.start()
        try:
            async with (
                open_channel(media.target) as to_media,
                open_channel(recorder_process.target) as to_recorder,
            ):
                stub = media_pb2_grpc.MediaServiceStub(to_media)
                recorder = recorder_pb2_grpc.RecorderServiceStub(to_recorder)
                # Once with the built-in renderer, so that what is loaded lazily is loaded.
                for config in ("builtin_image", "sd35_large", "wan22_video"):
                    run = await create_run(recorder)
                    process = psutil.Process(media.pid)
                    before = process.memory_info().rss
                    asked = request(f"{run}/uploads/output-1", output_config=config)
                    call = asyncio.create_task(
                        _all(stub.GenerateMedia(asked, timeout=CALL_SECONDS))
                    )
                    highest = before
                    while not call.done():
                        highest = max(highest, process.memory_info().rss)
                        await asyncio.wait({call}, timeout=0.02)
                    entity = entity_of(await call)
                    if config != "builtin_image":
                        assert entity.digest.size_bytes == size
                        assert highest - before < 32 * 1024 * 1024
                assert entity.media_type == "video/mp4"
                assert entity.metadata["duration_seconds"] == "2"
        finally:
            await media.stop()


async def _nothing_left(world: World, upload: str) -> None:
    async with refused("NOT_FOUND", "UPLOAD_NOT_FOUND"):
        await world.recorder.GetUpload(
            recorder_pb2.GetUploadRequest(upload=upload), timeout=CALL_SECONDS
        )


async def _all(
    call: AsyncIterable[media_pb2.GenerateMediaResponse],
) -> list[media_pb2.GenerateMediaResponse]:
    return [answer async for answer in call]
