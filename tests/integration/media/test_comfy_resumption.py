"""Jobs of an earlier life of the service: found where they are, made once, never given up early."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque

import pytest

from services.kit.clock import SystemClock
from services.kit.errors import DeadlineExceeded, Unavailable
from services.media.comfy import course, prompt_id_of, stopping
from services.media.comfy.journal import HandIn, MemoryJournal
from services.media.ports import RenderProgress
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, ignore, make_job, read, until
from tests.fakes.comfyui.lives import crash, life
from tests.integration.media.world import media_beside
from tests.support.eventually import eventually
from tests.support.rpc import refused

pytestmark = pytest.mark.timeout(60)


async def test_a_job_at_an_instance_that_is_down_at_the_restart_is_waited_for() -> None:
    journal, job = MemoryJournal(), make_job()
    async with fake_comfyui(script=Script(step_seconds=0.3)) as one, fake_comfyui() as two:
        async with life(journal, one) as backend:
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: one.worker.running is not None)
            await crash(task)
        one.script.frozen = True
        async with life(journal, one, two) as backend:
            assert not await backend.unavailable_reason(job.config), "the other one is there"
            task = asyncio.create_task(backend.render(job, ignore))
            await asyncio.sleep(1.0)
            assert not two.prompts
            one.script.frozen = False
            product = await asyncio.wait_for(task, 15)
            assert await read(product)
        assert (one.executions, two.executions) == ({prompt_id_of(job.upload): 1}, {})
        assert product.attempt == 1


async def test_a_job_at_an_instance_that_is_gone_for_good_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "REFUSED_SECONDS", 0.5)
    journal, job = MemoryJournal(), make_job()
    async with fake_comfyui(script=Script(hang_at="KSampler")) as one, fake_comfyui() as two:
        async with life(journal, one) as backend:
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: one.worker.running is not None)
            await crash(task)
        await one.stop()
        async with life(journal, one, two) as backend:
            told: list[RenderProgress] = []
            product = await asyncio.wait_for(backend.render(job, told.append), 15)
        assert two.executions == {prompt_id_of(job.upload): 1}
        assert (product.attempt, told[-1].attempt) == (2, 2)


async def test_a_job_at_an_instance_that_was_taken_off_the_list_is_made_anew() -> None:
    journal, job = MemoryJournal(), make_job()
    away = HandIn(str(job.upload), prompt_id_of(job.upload), "http://127.0.0.1:9", 1, 0.0)
    await journal.put(away)
    async with fake_comfyui() as fake, life(journal, fake) as backend:
        assert not await backend.began(job.upload)
        assert (await backend.render(job, ignore)).attempt == 2


async def test_a_post_that_was_cut_and_arrives_after_the_restart_is_found_by_the_second_look() -> (
    None
):
    journal, job = MemoryJournal(), make_job()
    script = Script(hold="before POST /prompt", step_seconds=0.05)
    async with fake_comfyui(script=script) as fake:
        async with life(journal, fake) as backend:
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.held == 1)
            await crash(task)
        async with life(journal, fake) as backend:
            looks = [seen.path for seen in fake.requests].count("/queue")
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: [s.path for s in fake.requests].count("/queue") > looks)
            # What was on its way is taken in only now.
            script.hold = ""
            assert await read(await asyncio.wait_for(task, 15))
        assert fake.executions == {prompt_id_of(job.upload): 1}
        assert len(fake.prompts) == 1


async def test_a_hand_in_that_cannot_be_written_down_is_not_sent() -> None:
    class FullDisk(MemoryJournal):
        async def put(self, hand_in: HandIn) -> None:
            raise Unavailable("MEDIA_STATE_UNAVAILABLE", "the disk is full")

    async with fake_comfyui() as fake, life(FullDisk(), fake) as backend:
        with pytest.raises(Unavailable) as caught:
            await backend.render(make_job(), ignore)
    assert caught.value.reason == "MEDIA_STATE_UNAVAILABLE"
    assert not fake.prompts


async def test_a_stop_that_cannot_be_written_down_stops_nonetheless() -> None:
    class FillingDisk(MemoryJournal):
        is_full = False

        async def put(self, hand_in: HandIn) -> None:
            if self.is_full:
                raise Unavailable("MEDIA_STATE_UNAVAILABLE", "the disk is full")
            await super().put(hand_in)

    journal = FillingDisk()
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with life(journal, fake) as backend:
            task = asyncio.create_task(backend.render(make_job(), ignore))
            await until(lambda: fake.worker.running is not None)
            journal.is_full = True
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: fake.worker.running is None)


async def test_attempts_are_told_and_survive() -> None:
    journal, job = MemoryJournal(), make_job()
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with life(journal, fake) as backend:
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            await fake.restart()
            await until(lambda: fake.executions.get(prompt_id_of(job.upload)) == 2, 15)
            await crash(task)
        fake.script.hang_at = None
        async with life(journal, fake) as backend:
            told: list[RenderProgress] = []
            product = await backend.render(job, told.append)
        assert product.attempt == 2
        assert {progress.attempt for progress in told} <= {2}
        assert fake.executions == {prompt_id_of(job.upload): 2}


async def test_what_ends_after_its_deadline_is_a_late_result_for_who_asks_again() -> None:
    script = Script(hang_at="VAEDecode", interruptible=False)
    journal = MemoryJournal()
    async with fake_comfyui(script=script) as fake, life(journal, fake) as backend:
        job = make_job(config(deadline_seconds=1.0))
        with pytest.raises(DeadlineExceeded):
            await backend.render(job, ignore)
        script.hang_at = None
        await until(lambda: fake.worker.remaining == 0)
        product = await backend.render(job, ignore)
        assert await read(product)
        assert (product.metadata["late"], product.attempt) == ("true", 1)
        assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_what_still_runs_after_its_deadline_is_followed_for_who_asks_again() -> None:
    script = Script(hang_at="VAEDecode", interruptible=False)
    journal = MemoryJournal()
    async with fake_comfyui(script=script) as fake, life(journal, fake) as backend:
        job = make_job(config(deadline_seconds=1.0))
        with pytest.raises(DeadlineExceeded):
            await backend.render(job, ignore)
        again = dataclasses.replace(job, config=config(deadline_seconds=15.0))
        task = asyncio.create_task(backend.render(again, ignore))
        await asyncio.sleep(0.3)
        script.hang_at = None
        product = await asyncio.wait_for(task, 15)
        assert product.metadata["late"] == "true"
        assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_what_was_stopped_in_time_is_made_anew_at_once_and_is_not_late() -> None:
    script, journal = Script(hang_at="KSampler"), MemoryJournal()
    async with fake_comfyui(script=script) as fake, life(journal, fake) as backend:
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: fake.worker.running is not None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: fake.worker.remaining == 0)
        script.hang_at = None
        product = await backend.render(job, ignore)
        assert (product.attempt, "late" in product.metadata) == (1, False)


async def test_a_picture_that_came_late_is_recorded_for_who_still_wants_it(
    recorder_target: str,
) -> None:
    script, journal = Script(hang_at="VAEDecode", interruptible=False), MemoryJournal()
    output = dataclasses.replace(config(deadline_seconds=1.5), backend="builtin")
    small = {"width": "256", "height": "256", "steps": "4"}
    async with (
        fake_comfyui(script=script) as fake,
        life(journal, fake) as backend,
        media_beside(recorder_target, configs={"picture": output}, backend=backend) as world,
    ):
        upload = await world.upload()
        async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
            await world.made(upload, parameters=small)
        script.hang_at = None
        await eventually(lambda: fake.worker.remaining == 0)
        # The backend was asked a moment after the call, so its time ends a moment later.
        handed_in = await journal.get(upload)
        assert handed_in is not None
        await eventually(lambda: SystemClock().now().timestamp() > handed_in.deadline_at)
        entity = await world.made(upload, parameters=small)
        assert entity.metadata["late"] == "true"
        assert list(fake.executions.values()) == [1]


async def test_nobody_is_turned_away_from_what_is_at_work_already(recorder_target: str) -> None:
    script, journal = Script(step_seconds=0.3), MemoryJournal()
    output = dataclasses.replace(config(), backend="builtin")
    small = {"width": "256", "height": "256", "steps": "4"}
    async with fake_comfyui(script=script) as fake:
        async with life(journal, fake) as backend:
            configs = {"picture": output}
            async with media_beside(recorder_target, configs=configs, backend=backend) as world:
                upload = await world.upload()
                call = asyncio.create_task(world.made(upload, parameters=small))
                await eventually(lambda: fake.worker.running is not None)
                # The only instance looks as if it were away: nothing new is taken.
                fake.script.frozen = True
                await crash(next(iter(world.jobs._jobs.values())).task)
                await asyncio.gather(call, return_exceptions=True)

                async def is_away() -> bool:
                    return bool(await backend.unavailable_reason(output))

                await eventually(is_away, 10, "the only instance to count as away")
                call = asyncio.create_task(world.made(upload, parameters=small))
                await asyncio.sleep(0.5)
                fake.script.frozen = False
                await asyncio.wait_for(call, 20)
                assert list(fake.executions.values()) == [1]


async def test_who_goes_before_an_earlier_job_is_found_again_leaves_none_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.1)
    journal, job = MemoryJournal(), make_job()
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with life(journal, fake) as backend:
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            await crash(task)
        async with life(journal, fake) as backend:
            fake.script.frozen = True
            before = len(fake.requests)
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: any(s.path == "/queue" for s in fake.requests[before:]))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            fake.script.frozen = False
            await until(lambda: fake.worker.running is None)


async def test_an_answer_of_node_errors_is_no_hand_in_to_wait_for() -> None:
    script = Script(prompt_answers=deque(["node_errors"]))
    journal, job = MemoryJournal(), make_job()
    async with fake_comfyui(script=script) as fake, life(journal, fake) as backend:
        with pytest.raises(Exception, match="COMFY_REJECTED"):
            await backend.render(job, ignore)
        await until(lambda: fake.worker.remaining == 0)
        assert await read(await backend.render(job, ignore))


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
@pytest.mark.parametrize("state", ["running", "pending"])
async def test_who_did_not_begin_a_job_stops_it_as_well(
    recorder_target: str, jobs_api: bool, state: str
) -> None:
    # After a crash, or when the call reaches another copy of the service.
    script, journal = Script(hang_at="KSampler", jobs_api=jobs_api), MemoryJournal()
    output = dataclasses.replace(config(), backend="builtin")
    small = {"width": "256", "height": "256", "steps": "4"}
    async with fake_comfyui(script=script) as fake:
        async with (
            life(journal, fake) as one,
            life(journal, fake) as two,
            media_beside(recorder_target, configs={"picture": output}, backend=one) as first,
            media_beside(recorder_target, configs={"picture": output}, backend=two) as second,
        ):
            other = asyncio.create_task(one.render(make_job(), ignore))
            await eventually(lambda: fake.worker.running is not None)
            if state == "running":
                other.cancel()
                await asyncio.gather(other, return_exceptions=True)
                await eventually(lambda: fake.worker.remaining == 0)
            upload = await first.upload()
            assert not await second.cancel(upload), "nobody has begun it"
            call = asyncio.create_task(first.made(upload, parameters=small))
            await eventually(lambda: fake.worker.remaining == (2 if state == "pending" else 1))
            if state == "running":
                await eventually(lambda: fake.worker.running is not None)
            assert await second.cancel(upload)
            async with refused("CANCELLED", "COMFY_INTERRUPTED"):
                await call
            assert not await second.cancel(upload), "it was stopped already"
            script.hang_at = None
            await asyncio.gather(other, return_exceptions=True)
            made = await first.made(upload, parameters=small)
            assert not await second.cancel(upload), "too late"
            assert made.metadata["prompt_id"]


async def test_what_cannot_be_asked_is_not_said_to_be_stopped() -> None:
    journal, job = MemoryJournal(), make_job()
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with life(journal, fake) as backend:
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            await crash(task)
            await fake.stop()
            assert not await backend.stop([job.upload])
