"""What ComfyUI finished after its time is taken by who may only take, and nothing is begun."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from artlab.recorder.v1 import run_pb2
from services.kit.clock import SystemClock
from services.kit.errors import DeadlineExceeded
from services.media.comfy import adoption
from services.media.comfy.journal import MemoryJournal
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, connected, ignore, make_job, read, until
from tests.fakes.comfyui.lives import crash, life
from tests.fakes.media_backend import ScriptedBackend
from tests.integration.media.world import World, media_beside
from tests.support.eventually import eventually
from tests.support.rpc import refused

pytestmark = pytest.mark.timeout(60)

SMALL = {"width": "256", "height": "256", "steps": "4"}


async def test_a_picture_that_is_done_after_the_deadline_is_adopted(recorder_target: str) -> None:
    script, journal = Script(hang_at="VAEDecode", interruptible=False), MemoryJournal()
    output = dataclasses.replace(config(deadline_seconds=1.5), backend="builtin")
    async with (
        fake_comfyui(script=script) as fake,
        life(journal, fake) as backend,
        media_beside(recorder_target, configs={"picture": output}, backend=backend) as world,
    ):
        upload = await world.upload()
        async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
            await world.made(upload, parameters=SMALL)
        script.hang_at = None
        await eventually(lambda: fake.worker.remaining == 0)
        await _after_its_time(journal, upload)
        entity = await world.made(upload, parameters=SMALL, adopt_only=True)
        assert entity.metadata["late"] == "true"
        assert entity.metadata["prompt_id"] in fake.executions
        assert list(fake.executions.values()) == [1]
        again = await world.made(upload, parameters=SMALL)
        assert again.name == entity.name


async def _after_its_time(journal: MemoryJournal, upload: str) -> None:
    handed_in = await journal.get(upload)
    assert handed_in is not None
    await eventually(lambda: SystemClock().now().timestamp() > handed_in.deadline_at)


async def test_what_is_done_a_moment_after_it_was_asked_for_is_waited_for() -> None:
    script, journal = Script(hang_at="VAEDecode", interruptible=False), MemoryJournal()
    async with fake_comfyui(script=script) as fake, life(journal, fake) as backend:
        job = make_job(config(deadline_seconds=1.0))
        with pytest.raises(DeadlineExceeded):
            await backend.render(job, ignore)
        adopting = asyncio.create_task(backend.adopt(job))
        looked = len(fake.requests)
        await until(lambda: len(fake.requests) > looked + 2)
        script.hang_at = None
        product = await adopting
        assert product is not None
        assert await read(product)
        assert list(fake.executions.values()) == [1]


async def test_what_is_not_done_soon_is_not_found_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adoption, "WAIT_SECONDS", 0.3)
    script, journal = Script(hang_at="KSampler"), MemoryJournal()
    async with fake_comfyui(script=script) as fake, life(journal, fake) as backend:
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: fake.worker.running is not None)
        assert await backend.adopt(job) is None
        assert fake.worker.running is not None
        script.hang_at = None
        assert await read(await task)


@pytest.mark.parametrize("ending", ["nothing", "stopped", "failed", "file gone"])
async def test_what_was_not_made_whole_is_not_found_and_nothing_is_handed_in(ending: str) -> None:
    script, journal = Script(), MemoryJournal()
    async with fake_comfyui(script=script) as fake, life(journal, fake) as backend:
        job = make_job()
        if ending == "stopped":
            script.hang_at = "KSampler"
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(lambda: fake.worker.remaining == 0)
        elif ending == "failed":
            script.fail_at = "KSampler"
            with pytest.raises(Exception, match="COMFY_EXECUTION"):
                await backend.render(job, ignore)
        elif ending == "file gone":
            await backend.render(job, ignore)
            for file in (fake.root / "output" / "artlab").iterdir():
                await asyncio.to_thread(file.unlink)
        script.hang_at = script.fail_at = None
        before = len(fake.prompts)
        assert await backend.adopt(job) is None
        assert len(fake.prompts) == before


async def test_what_another_copy_made_is_adopted_without_its_journal() -> None:
    job = make_job()
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with life(MemoryJournal(), fake) as backend:
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            await crash(task)
        fake.script.hang_at = None
        await until(lambda: fake.worker.remaining == 0)
        async with connected(fake.url) as other:
            product = await other.adopt(job)
            assert product is not None
            assert await read(product)
        assert list(fake.executions.values()) == [1]


async def test_an_instance_that_does_not_answer_is_given_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adoption, "WAIT_SECONDS", 0.5)
    journal, job = MemoryJournal(), make_job()
    async with fake_comfyui() as fake, life(journal, fake) as backend:
        await backend.render(job, ignore)
        fake.script.frozen = True
        assert await backend.adopt(job) is None
        fake.script.frozen = False
        monkeypatch.setattr(adoption, "WAIT_SECONDS", 15.0)
        assert await backend.adopt(job) is not None


async def test_what_took_over_and_was_late_is_adopted_under_its_own_name(
    recorder_target: str,
) -> None:
    script, journal = Script(hang_at="VAEDecode", interruptible=False), MemoryJournal()
    first = dataclasses.replace(
        config(deadline_seconds=1.5), name="first", backend="scripted", fallback=("second",)
    )
    second = dataclasses.replace(config(deadline_seconds=1.5), name="second")
    broken = ScriptedBackend("scripted", reason="it is broken today")
    async with (
        fake_comfyui(script=script) as fake,
        life(journal, fake) as backend,
        media_beside(
            recorder_target,
            configs={"first": first, "second": second},
            backend=backend,
            more=[broken],
        ) as world,
    ):
        upload = await world.upload()
        async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
            await _picture(world, upload)
        script.hang_at = None
        await eventually(lambda: fake.worker.remaining == 0)
        entity = await _picture(world, upload, adopt_only=True)
        assert entity.metadata["output_config"] == "second"
        assert entity.metadata["fallback_from"] == "first (LATE_RESULT_NOT_FOUND)"
        assert list(fake.executions.values()) == [1]


async def _picture(world: World, upload: str, **changes: object) -> run_pb2.Entity:
    return await world.made(upload, output_config="first", parameters=SMALL, **changes)
