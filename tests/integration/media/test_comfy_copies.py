"""Copies of the media service over the same ComfyUI: any stops an output, none disturbs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import run_pb2
from services.cli.ports import free_ports
from services.kit.channel import open_channel
from services.media.comfy.journal import MemoryJournal
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, ignore, make_job, until
from tests.fakes.comfyui.lives import life
from tests.integration.media.world import Service, World, entity_of, media_beside, request, rest_of
from tests.support.eventually import eventually
from tests.support.rpc import refused

pytestmark = pytest.mark.timeout(90)

SMALL = {"width": "256", "height": "256", "steps": "4"}
# A cancel that has done its work within this is fast enough for who waits for it.
CANCEL_SECONDS = 2.5


@asynccontextmanager
async def two_copies(
    recorder_target: str, fake: FakeComfyUI, grace_seconds: float = 10.0
) -> AsyncIterator[tuple[World, World]]:
    """Two copies on machines of their own: neither sees the journal of the other."""
    configs = {"picture": dataclasses.replace(config(), backend="builtin")}
    async with (
        life(MemoryJournal(), fake) as one,
        life(MemoryJournal(), fake) as two,
        media_beside(
            recorder_target, configs=configs, backend=one, grace_seconds=grace_seconds
        ) as first,
        media_beside(recorder_target, configs=configs, backend=two) as second,
    ):
        yield first, second


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
@pytest.mark.parametrize("state", ["running", "pending"])
async def test_a_copy_stops_what_another_one_began_without_its_journal(
    recorder_target: str, jobs_api: bool, state: str
) -> None:
    script = Script(hang_at="KSampler", jobs_api=jobs_api)
    async with (
        fake_comfyui(script=script) as fake,
        two_copies(recorder_target, fake) as (first, second),
        life(MemoryJournal(), fake) as somebody,
    ):
        if state == "pending":
            other = asyncio.create_task(somebody.render(make_job(), ignore))
            await eventually(lambda: fake.worker.running is not None)
        upload = await first.upload()
        call = asyncio.create_task(first.made(upload, parameters=SMALL))
        if state == "pending":
            await eventually(lambda: len(fake.worker.pending) == 1)
        else:
            await eventually(lambda: fake.worker.running is not None)
        assert await second.cancel(upload)
        async with refused("CANCELLED", "COMFY_INTERRUPTED"):
            await call
        assert not await second.cancel(upload), "it was stopped already"
        if state == "pending":
            # Exactly the one.
            assert fake.worker.running is not None
            assert fake.worker.remaining == 1
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)


async def test_a_copy_whose_driver_lost_the_run_leaves_its_prompt_to_the_other_copy(
    recorder_target: str,
) -> None:
    script = Script(hang_at="KSampler")
    async with (
        fake_comfyui(script=script) as fake,
        two_copies(recorder_target, fake, grace_seconds=0.2) as (first, second),
    ):
        upload = await first.upload()
        old = first.generate(upload, parameters=SMALL, epoch=await first.claim(upload))
        reading = asyncio.create_task(rest_of(old))
        await eventually(lambda: fake.worker.running is not None)
        new = second.generate(upload, parameters=SMALL, epoch=await first.claim(upload))
        async for answer in new:
            if answer.progress.phase == run_pb2.RENDER_PHASE_EXECUTING:
                break
        # The older driver is gone, and nobody asks the first copy any more.
        old.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await eventually(lambda: not first.jobs._jobs)
        assert fake.worker.running is not None, "it is followed by the second copy"
        script.hang_at = None
        assert entity_of([answer async for answer in new])
        assert list(fake.executions.values()) == [1]


async def test_a_copy_whose_caller_is_gone_stops_its_prompt(recorder_target: str) -> None:
    script = Script(hang_at="KSampler")
    async with (
        fake_comfyui(script=script) as fake,
        two_copies(recorder_target, fake, grace_seconds=0.2) as (first, _),
    ):
        upload = await first.upload()
        call = first.generate(upload, parameters=SMALL, epoch=await first.claim(upload))
        reading = asyncio.create_task(rest_of(call))
        await eventually(lambda: fake.worker.running is not None)
        call.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await eventually(lambda: fake.worker.running is None)


@pytest.mark.parametrize("gone", ["its driver lost the run", "its caller"])
async def test_what_waits_for_a_place_is_not_begun_when_it_is_unwanted(
    recorder_target: str, gone: str
) -> None:
    script = Script(hang_at="KSampler")
    async with (
        fake_comfyui(script=script) as fake,
        two_copies(recorder_target, fake) as (first, second),
    ):
        # One runs and one waits there; the third waits at the first copy, out of others' reach.
        names = [await first.upload() for _ in range(2)]
        ahead = [asyncio.create_task(first.made(name, parameters=SMALL)) for name in names]
        await eventually(lambda: fake.worker.remaining == 2)
        upload = await first.upload()
        call = first.generate(upload, parameters=SMALL, epoch=await first.claim(upload))
        reading = asyncio.create_task(rest_of(call))
        pool = first.jobs._making._backends["builtin"]._pool  # type: ignore[attr-defined]
        await eventually(lambda: pool.waiting == 1)
        assert not await second.cancel(upload), "it is not there yet"
        if gone == "its caller":
            call.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        else:
            await first.claim(upload)
        script.hang_at = None
        await asyncio.gather(*ahead)
        await eventually(lambda: len(first.jobs._jobs) == 0)
        if gone != "its caller":
            async with refused("FAILED_PRECONDITION", "FENCED"):
                await reading
        assert len(fake.executions) == 2


async def test_two_processes_one_stops_what_the_other_began(
    recorder_target: str, tmp_path: Path
) -> None:
    ports = free_ports(["one", "two"])
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        copies = [
            Service(
                "media",
                ports[name],
                {
                    "RECORDER_TARGET": recorder_target,
                    "COMFYUI_URLS": fake.url,
                    "STATE": str(tmp_path / name),
                    "LOG_LEVEL": "ERROR",
                },
            )
            for name in ("one", "two")
        ]
        try:
            await asyncio.gather(*(copy.start() for copy in copies))
            async with (
                media_beside(recorder_target) as world,
                open_channel(copies[0].target) as to_one,
                open_channel(copies[1].target) as to_two,
            ):
                upload = await world.upload()
                one = media_pb2_grpc.MediaServiceStub(to_one)
                two = media_pb2_grpc.MediaServiceStub(to_two)
                asked = request(upload, output_config="sd35_large", parameters=SMALL)
                call = one.GenerateMedia(asked, timeout=60)
                reading = asyncio.create_task(rest_of(call))
                await until(lambda: fake.worker.running is not None, 20)
                answer = await two.CancelMedia(
                    media_pb2.CancelMediaRequest(upload=upload), timeout=CANCEL_SECONDS
                )
                assert answer.cancelled
                async with refused("CANCELLED", "COMFY_INTERRUPTED"):
                    await reading
                assert fake.worker.running is None
        finally:
            await asyncio.gather(*(copy.stop() for copy in copies))
