"""The pool of ComfyUIs as operators and callers see it, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from artlab.media.v1 import media_pb2
from artlab.recorder.v1 import run_pb2
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, connected, until
from tests.fakes.comfyui.nodes import MODELS, node_table
from tests.integration.media.world import CALL_SECONDS, World, media_beside
from tests.support.eventually import eventually
from tests.support.rpc import refused

SMALL = {"width": "256", "height": "256", "steps": "4"}
WITHOUT_SD35 = {**MODELS, "ckpt_name": ["something_else.safetensors"]}


@asynccontextmanager
async def beside(target: str, *urls: str, max_waiting: int = 64) -> AsyncIterator[World]:
    """The media service with the real backend for these addresses."""
    async with (
        connected(*urls, max_waiting=max_waiting) as backend,
        media_beside(target, configs={"picture": config()}, backend=backend, max_jobs=8) as world,
    ):
        yield world


async def the_backend(world: World) -> media_pb2.Backend:
    """What ListBackends says of the only one."""
    asked = media_pb2.ListBackendsRequest()
    (backend,) = (await world.media.ListBackends(asked, timeout=CALL_SECONDS)).backends
    return backend


async def drain(world: World, fake: FakeComfyUI, draining: bool) -> media_pb2.Instance:
    """SetInstanceDraining."""
    asked = media_pb2.SetInstanceDrainingRequest(backend="comfyui", url=fake.url, draining=draining)
    answer = await world.media.SetInstanceDraining(asked, timeout=CALL_SECONDS)
    return answer.instance


async def test_every_instance_is_listed_as_it_is(recorder_target: str) -> None:
    script = Script(hang_at="KSampler")
    async with (
        fake_comfyui(script=script) as busy,
        fake_comfyui(nodes=node_table(WITHOUT_SD35)) as without,
        fake_comfyui() as gone,
    ):
        await gone.stop()
        busy.devices = [{"vram_total": 24 * 2**30, "vram_free": 2**30}]
        async with beside(recorder_target, busy.url, without.url, gone.url) as world:
            upload = await world.upload()
            calls = [
                asyncio.create_task(world.made(f"{upload}-{n}", parameters=SMALL)) for n in range(3)
            ]
            await until(lambda: busy.worker.remaining == 2)
            backend = await the_backend(world)
            assert (backend.name, backend.available, backend.waiting) == ("comfyui", True, 1)
            first, second, third = backend.instances
            assert first == media_pb2.Instance(
                url=busy.url,
                state=media_pb2.INSTANCE_STATE_BUSY,
                reason="its last job was sd35_large",
                running=1,
                waiting=1,
                queue_length=2,
                version="0.26.0",
                vram_total_bytes=24 * 2**30,
                vram_free_bytes=2**30,
            )
            assert second == media_pb2.Instance(
                url=without.url,
                state=media_pb2.INSTANCE_STATE_READY,
                version="0.26.0",
                unfit_configs={"sd35_large": "model sd3.5_large.safetensors is missing"},
            )
            assert third == media_pb2.Instance(
                url=gone.url,
                state=media_pb2.INSTANCE_STATE_DOWN,
                reason=f"no ComfyUI answers at {gone.url}",
            )
            script.hang_at = None
            await asyncio.gather(*calls)


async def test_draining_over_the_wire_and_back(recorder_target: str) -> None:
    async with fake_comfyui() as fake, beside(recorder_target, fake.url) as world:
        assert (await drain(world, fake, True)).state == media_pb2.INSTANCE_STATE_DRAINING
        assert [one.state for one in (await the_backend(world)).instances] == [
            media_pb2.INSTANCE_STATE_DRAINING
        ]
        upload = await world.upload()
        async with refused("FAILED_PRECONDITION", "OUTPUT_NOT_AVAILABLE") as seen:
            await world.made(upload, parameters=SMALL)
        assert seen.message == f"{fake.url} is being drained"
        assert (await drain(world, fake, False)).state == media_pb2.INSTANCE_STATE_READY
        assert (await world.made(upload, parameters=SMALL)).name
        async with refused("NOT_FOUND", "INSTANCE_NOT_FOUND", "url"):
            asked = media_pb2.SetInstanceDrainingRequest(
                backend="comfyui", url="http://127.0.0.1:1", draining=True
            )
            await world.media.SetInstanceDraining(asked, timeout=CALL_SECONDS)


async def test_callers_get_their_turn_by_person_and_a_full_queue_says_when_to_come_back(
    recorder_target: str,
) -> None:
    script = Script(hang_at="KSampler")
    async with fake_comfyui(script=script) as fake:
        async with beside(recorder_target, fake.url, max_waiting=4) as world:
            upload = await world.upload()
            calls: list[asyncio.Task[run_pb2.Entity]] = []
            for number, user in enumerate(("ada", "ada", "ada", "ada", "bob", "bob")):
                wanted = world.made(
                    f"{upload}-{number}", parameters=SMALL, user_id=user, seed=number
                )
                calls.append(asyncio.create_task(wanted))
                await eventually(partial(placed, world, fake, number + 1))
                if number == 4:
                    # There is a place, and it is not for who has half of them.
                    async with refused("RESOURCE_EXHAUSTED", "MEDIA_BUSY") as seen:
                        await world.made(f"{upload}-9", parameters=SMALL, user_id="ada")
                    assert seen.message == "2 jobs of this person wait for a ComfyUI"
            assert not (await the_backend(world)).available
            async with refused("RESOURCE_EXHAUSTED", "MEDIA_BUSY") as seen:
                await world.made(f"{upload}-6", parameters=SMALL, user_id="cleo")
            assert seen.retry_after_seconds == 10.0
            script.hang_at = None
            await asyncio.gather(*calls)
            seeds = [prompt["prompt"]["3"]["inputs"]["seed"] for prompt in fake.prompts]
            assert seeds == [0, 1, 4, 2, 5, 3]


async def placed(world: World, fake: FakeComfyUI, jobs: int) -> bool:
    """Whether so many jobs are at the instance or in our queue."""
    return fake.worker.remaining + (await the_backend(world)).waiting == jobs


@pytest.mark.parametrize("length", [2**40, 10**400])
async def test_a_queue_longer_than_any_stops_nobody(recorder_target: str, length: int) -> None:
    async with fake_comfyui(script=Script(queue_remaining=length, step_seconds=0.02)) as fake:
        async with beside(recorder_target, fake.url, fake.url) as world:
            upload = await world.upload()
            calls = [world.made(f"{upload}-{n}", parameters=SMALL, seed=n) for n in range(4)]
            made = await asyncio.gather(*calls, return_exceptions=True)
            assert [one for one in made if isinstance(one, BaseException)] == []
            assert (await the_backend(world)).instances[0].queue_length > 1000
