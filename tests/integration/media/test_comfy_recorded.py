"""From ComfyUI's answer to an entity: what must never become one, and jobs that are cancelled."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from artlab.recorder.v1 import recorder_pb2, run_pb2
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, connected
from tests.integration.media.world import CALL_SECONDS, World, media_beside, sha256
from tests.support.eventually import eventually
from tests.support.rpc import refused

pytestmark = pytest.mark.timeout(60)

MAX_MEDIA_BYTES = 2_000_000
SMALL = {"width": "256", "height": "256", "steps": "4"}


@asynccontextmanager
async def beside(target: str, *fakes: FakeComfyUI) -> AsyncIterator[World]:
    """The media service with the real backend between these and a recorder."""
    output = dataclasses.replace(config(), backend="builtin")
    async with (
        connected(*(fake.url for fake in fakes), max_media_bytes=MAX_MEDIA_BYTES) as backend,
        media_beside(
            target,
            configs={"picture": output},
            backend=backend,
            max_media_bytes=MAX_MEDIA_BYTES,
        ) as world,
    ):
        yield world


async def entities_of(world: World, upload: str) -> list[run_pb2.Entity]:
    asked = recorder_pb2.GetRunRequest(
        name=upload.split("/uploads")[0], audience=run_pb2.AUDIENCE_RESEARCH
    )
    return list((await world.recorder.GetRun(asked, timeout=CALL_SECONDS)).run.entities)


async def nothing_is_left(world: World, upload: str) -> None:
    assert await entities_of(world, upload) == []
    async with refused("NOT_FOUND", "UPLOAD_NOT_FOUND"):
        await world.recorder.GetUpload(
            recorder_pb2.GetUploadRequest(upload=upload), timeout=CALL_SECONDS
        )


@pytest.mark.parametrize(
    ("answer", "size", "code", "reason"),
    [
        ("html", 700_000, "FAILED_PRECONDITION", "MEDIA_TYPE_NOT_ALLOWED"),
        ("truncated", 700_000, "FAILED_PRECONDITION", "MEDIA_MALFORMED"),
        ("empty", 700_000, "FAILED_PRECONDITION", "MEDIA_EMPTY"),
        ("404", 700_000, "FAILED_PRECONDITION", "COMFY_NO_OUTPUT"),
        ("", 2_100_000, "RESOURCE_EXHAUSTED", "MEDIA_TOO_LARGE"),
        ("unannounced", 2_100_000, "RESOURCE_EXHAUSTED", "MEDIA_TOO_LARGE"),
    ],
)
async def test_what_is_no_whole_picture_of_bearable_size_never_becomes_an_entity(
    recorder_target: str, answer: str, size: int, code: str, reason: str
) -> None:
    script = Script(view_answers=deque([answer]), output_bytes=size)
    async with fake_comfyui(script=script) as fake, beside(recorder_target, fake) as world:
        upload = await world.upload()
        async with refused(code, reason):
            await world.made(upload, parameters=SMALL)
        await nothing_is_left(world, upload)
        assert list(fake.executions.values()) == [1]


@pytest.mark.parametrize("answers", [["cut"], ["500", "cut", "cut"]])
async def test_a_download_cut_half_way_begins_anew_and_is_recorded_whole(
    recorder_target: str, answers: list[str]
) -> None:
    script = Script(view_answers=deque(answers), output_bytes=1_500_000)
    async with fake_comfyui(script=script) as fake, beside(recorder_target, fake) as world:
        upload = await world.upload()
        entity = await world.made(upload, parameters=SMALL)
        (path,) = (fake.root / "output" / "artlab").iterdir()
        assert entity.digest.sha256 == sha256(await asyncio.to_thread(path.read_bytes))
        assert len(await entities_of(world, upload)) == 1
        assert list(fake.executions.values()) == [1]


async def test_comfyui_restarted_while_the_bytes_come_costs_no_second_picture(
    recorder_target: str,
) -> None:
    script = Script(view_answers=deque(["stalled"]), output_bytes=1_500_000)
    async with fake_comfyui(script=script) as fake, beside(recorder_target, fake) as world:
        upload = await world.upload()
        call = asyncio.create_task(world.made(upload, parameters=SMALL))
        await eventually(
            lambda: any((seen.method, seen.path) == ("GET", "/view") for seen in fake.requests)
        )
        await fake.restart()
        assert (await call).digest.size_bytes == 1_500_000
        assert list(fake.executions.values()) == [1]


async def test_after_a_bad_download_the_finished_picture_is_fetched_and_not_made_again(
    recorder_target: str,
) -> None:
    script = Script(view_answers=deque(["html"]))
    async with fake_comfyui(script=script) as fake, beside(recorder_target, fake) as world:
        upload = await world.upload()
        async with refused("FAILED_PRECONDITION", "MEDIA_TYPE_NOT_ALLOWED"):
            await world.made(upload, parameters=SMALL)
        assert (await world.made(upload, parameters=SMALL)).media_type == "image/png"
        assert list(fake.executions.values()) == [1]


VERSIONS = [
    pytest.param({"jobs_api": True}, id="new"),
    pytest.param({"jobs_api": False}, id="before 0.26"),
    pytest.param({"jobs_api": False, "targeted_interrupt": False}, id="before 0.3.57"),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("state", ["running", "pending"])
async def test_cancel_stops_ours_and_leaves_the_jobs_of_others(
    recorder_target: str, version: dict[str, bool], state: str
) -> None:
    script = Script(hang_at="KSampler", **version)  # type: ignore[arg-type]
    async with fake_comfyui(script=script) as fake, beside(recorder_target, fake) as world:
        first, second = await world.upload(), await world.upload()
        calls = []
        for upload in (first, second):
            calls.append(asyncio.create_task(world.made(upload, parameters=SMALL)))
            await eventually(lambda: fake.worker.remaining == len(calls))
        await eventually(lambda: fake.worker.running is not None)
        gone, stays = (0, 1) if state == "running" else (1, 0)
        assert await asyncio.wait_for(world.cancel((first, second)[gone]), 10)
        async with refused("CANCELLED", "MEDIA_CANCELLED"):
            await calls[gone]
        await eventually(lambda: fake.worker.remaining == 1)
        script.hang_at = None
        assert (await calls[stays]).media_type == "image/png"
        await nothing_is_left(world, (first, second)[gone])
        assert sorted(fake.executions.values()) == ([1, 1] if state == "running" else [1])


async def test_cancel_while_the_bytes_come_leaves_nothing(recorder_target: str) -> None:
    script = Script(view_answers=deque(["stalled"]), output_bytes=1_500_000)
    async with fake_comfyui(script=script) as fake, beside(recorder_target, fake) as world:
        upload = await world.upload()
        call = asyncio.create_task(world.made(upload, parameters=SMALL))
        await eventually(
            lambda: any((seen.method, seen.path) == ("GET", "/view") for seen in fake.requests)
        )
        assert await asyncio.wait_for(world.cancel(upload), 10)
        async with refused("CANCELLED", "MEDIA_CANCELLED"):
            await call
        await nothing_is_left(world, upload)


async def test_a_cancel_that_comes_too_late_says_so_and_the_picture_stays(
    recorder_target: str,
) -> None:
    async with fake_comfyui() as fake, beside(recorder_target, fake) as world:
        upload = await world.upload()
        entity = await world.made(upload, parameters=SMALL)
        assert not await world.cancel(upload)
        (kept,) = await entities_of(world, upload)
        assert kept.name == entity.name


async def test_cancel_within_a_long_node_returns_and_what_ends_well_later_is_not_recorded(
    recorder_target: str,
) -> None:
    # Nothing after the node asks whether it was interrupted: ComfyUI says "cancelled" and goes on.
    script = Script(hang_at="SaveImage", interruptible=False)
    async with fake_comfyui(script=script) as fake, beside(recorder_target, fake) as world:
        upload = await world.upload()
        call = asyncio.create_task(world.made(upload, parameters=SMALL))
        await eventually(lambda: fake.worker.running is not None)
        assert await asyncio.wait_for(world.cancel(upload), 10)
        async with refused("CANCELLED", "MEDIA_CANCELLED"):
            await call
        script.hang_at = None
        await eventually(lambda: fake.worker.remaining == 0)
        await nothing_is_left(world, upload)
        # Asked for again it is there already.
        assert (await world.made(upload, parameters=SMALL)).media_type == "image/png"
        assert list(fake.executions.values()) == [1]
