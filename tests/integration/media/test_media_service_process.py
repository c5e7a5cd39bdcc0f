"""`python -m services.media` beside `python -m services.recorder`, as an installation runs them."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from PIL import Image

from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.cli.ports import free_ports
from services.kit.channel import open_channel
from tests.fakes.comfyui import Script, fake_comfyui
from tests.integration.media.world import CALL_SECONDS, Service, create_run, entity_of, request
from tests.support.eventually import eventually
from tests.support.rpc import refused

pytestmark = pytest.mark.timeout(60)


@asynccontextmanager
async def installation(
    tmp_path: Path, **media_settings: str
) -> AsyncIterator[tuple[Service, Service]]:
    """Both services, started."""
    ports = free_ports(["recorder", "media"])
    recorder = Service(
        "recorder", ports["recorder"], {"ROOT": str(tmp_path / "runs"), "LOG_LEVEL": "WARNING"}
    )
    own = {"RECORDER_TARGET": recorder.target, "STATE": str(tmp_path / "state")}
    settings = own | {"LOG_LEVEL": "WARNING"} | media_settings
    media = Service("media", ports["media"], settings)
    await asyncio.gather(recorder.start(), media.start())
    try:
        yield media, recorder
    finally:
        await asyncio.gather(media.stop(), recorder.stop())


@asynccontextmanager
async def asking(
    media: Service, recorder: Service
) -> AsyncIterator[
    tuple[media_pb2_grpc.MediaServiceAsyncStub, recorder_pb2_grpc.RecorderServiceAsyncStub]
]:
    """Stubs to both."""
    async with open_channel(media.target) as one, open_channel(recorder.target) as other:
        yield media_pb2_grpc.MediaServiceStub(one), recorder_pb2_grpc.RecorderServiceStub(other)


async def test_without_comfyui_the_built_in_outputs_are_there_and_the_others_say_why(
    tmp_path: Path,
) -> None:
    async with installation(tmp_path) as both, asking(*both) as (media, recorder):
        asked = media_pb2.ListOutputConfigsRequest()
        answer = await media.ListOutputConfigs(asked, timeout=CALL_SECONDS)
        found = {config.name: config for config in answer.configs}
        assert list(found) == sorted(found)
        assert found["builtin_image"].available
        assert found["builtin_text"].available
        assert not found["sd35_large"].available
        assert "ARTLAB_MEDIA_COMFYUI_URLS" in found["sd35_large"].reason
        assert answer.defaults

        run = await create_run(recorder)
        picture = request(f"{run}/uploads/output-1", output_config="builtin_image", seed=3)
        entity = entity_of(await _all(media.GenerateMedia(picture, timeout=CALL_SECONDS)))
        assert (entity.type, entity.media_type) == ("output_image", "image/png")
        assert entity.metadata["visual_language"] == "dada"
        (file,) = (tmp_path / "runs").glob(f"*/{entity.filename}")
        image = Image.open(io.BytesIO(file.read_bytes()))
        assert (image.format, image.size) == ("PNG", (1024, 1024))

        text = request(f"{run}/uploads/output-2", output_config="builtin_text", output_index=2)
        entity = entity_of(await _all(media.GenerateMedia(text, timeout=CALL_SECONDS)))
        assert (entity.type, entity.media_type) == ("output_text", "text/plain")
        (file,) = (tmp_path / "runs").glob(f"*/{entity.filename}")
        assert file.read_text() == "Eine Blume auf der Wiese"

        needs_comfy = request(f"{run}/uploads/output-3", output_config="sd35_large", output_index=3)
        async with refused("FAILED_PRECONDITION", "OUTPUT_NOT_AVAILABLE"):
            await _all(media.GenerateMedia(needs_comfy, timeout=CALL_SECONDS))


async def test_killed_in_the_middle_of_recording_and_asked_again_it_ends_in_one_whole_entity(
    tmp_path: Path,
) -> None:
    size = 150 * 1024 * 1024
    async with (
        fake_comfyui(script=Script(output_bytes=size)) as fake,
        installation(tmp_path, COMFYUI_URLS=fake.url) as (service, recorder_service),
        asking(service, recorder_service) as (media, recorder),
    ):
        run = await create_run(recorder)
        asked = request(f"{run}/uploads/output-1", output_config="sd35_large")
        with pytest.raises(grpc.aio.AioRpcError):
            await _until_recording(media.GenerateMedia(asked, timeout=CALL_SECONDS), service.kill)
        await service.start()
        again = media.GenerateMedia(asked, timeout=CALL_SECONDS, wait_for_ready=True)
        entity = entity_of(await _all(again))
        assert entity.digest.size_bytes == size
        found = await recorder.GetRun(
            recorder_pb2.GetRunRequest(name=run, audience=run_pb2.AUDIENCE_RESEARCH),
            timeout=CALL_SECONDS,
        )
        assert len(found.run.entities) == 1
        # The job of the first process was taken up, not repeated.
        assert list(fake.executions.values()) == [1]


async def test_killed_between_the_files_of_an_output_it_writes_only_the_others(
    tmp_path: Path,
) -> None:
    def three(outputs: dict[str, Any]) -> dict[str, Any]:
        return {key: {"images": found["images"] * 3} for key, found in outputs.items()}

    script = Script(output_bytes=10 * 1024 * 1024, outputs=three)
    async with (
        fake_comfyui(script=script) as fake,
        installation(tmp_path, COMFYUI_URLS=fake.url) as (service, recorder_service),
        asking(service, recorder_service) as (media, recorder),
    ):
        run = await create_run(recorder)

        async def recorded() -> list[run_pb2.Entity]:
            asked = recorder_pb2.GetRunRequest(name=run, audience=run_pb2.AUDIENCE_RESEARCH)
            return list((await recorder.GetRun(asked, timeout=CALL_SECONDS)).run.entities)

        async def is_half_way() -> bool:
            return len(await recorded()) >= 1

        asked = request(f"{run}/uploads/output-1", output_config="sd35_large")
        call = asyncio.create_task(_all(media.GenerateMedia(asked, timeout=CALL_SECONDS)))
        await eventually(is_half_way, CALL_SECONDS)
        await service.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        before = await recorded()
        await service.start()
        again = media.GenerateMedia(asked, timeout=CALL_SECONDS, wait_for_ready=True)
        answers = await _all(again)
        made = list(answers[-1].result.entities)
        assert made == await recorded()
        assert made[: len(before)] == before
        assert len(made) == 3
        assert list(fake.executions.values()) == [1]


async def test_a_signal_ends_it_soon_with_a_job_in_work_and_tells_the_caller(
    tmp_path: Path,
) -> None:
    async with (
        fake_comfyui(script=Script(hang_at="KSampler")) as fake,
        installation(tmp_path, COMFYUI_URLS=fake.url) as (service, recorder_service),
        asking(service, recorder_service) as (media, recorder),
    ):
        run = await create_run(recorder)
        asked = request(f"{run}/uploads/output-1", output_config="sd35_large")
        call = media.GenerateMedia(asked, timeout=CALL_SECONDS)
        async for answer in call:
            if answer.progress.phase == run_pb2.RENDER_PHASE_EXECUTING:
                break
        rest = asyncio.create_task(_all(call))
        async with asyncio.timeout(10):
            await service.kill(signal.SIGTERM)
        async with refused("UNAVAILABLE", "DRAINING"):
            await rest
        assert service.process is not None
        assert service.process.returncode == 0


async def _until_recording(
    call: AsyncIterable[media_pb2.GenerateMediaResponse], act: Callable[[], Awaitable[None]]
) -> None:
    """Act while the bytes move, then follow the call to its end."""
    acted = False
    async for answer in call:
        if answer.progress.phase == run_pb2.RENDER_PHASE_RECORDING and not acted:
            acted = True
            await act()


async def _all(
    call: AsyncIterable[media_pb2.GenerateMediaResponse],
) -> list[media_pb2.GenerateMediaResponse]:
    return [answer async for answer in call]


async def test_without_its_folder_for_files_it_does_not_start_and_names_the_setting(
    tmp_path: Path,
) -> None:
    inherited = {name: value for name, value in os.environ.items() if name[:7] != "ARTLAB_"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.media",
        env={**inherited, "ARTLAB_MEDIA_SPOOL": str(tmp_path / "away")},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(CALL_SECONDS):
        _, errors = await process.communicate()
    assert process.returncode == 1
    (line,) = errors.decode().splitlines()
    assert "SPOOL_FAILED" in line
    assert "ARTLAB_MEDIA_SPOOL" in line
    assert "No such file or directory" in line
