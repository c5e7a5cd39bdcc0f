"""Stopping: by us, by somebody else, by the deadline."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.kit.errors import (
    Cancelled,
    DeadlineExceeded,
)
from services.media.comfy import prompt_id_of
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import (
    config,
    connected,
    failure,
    ignore,
    make_job,
    until,
)


async def test_interrupted_by_somebody_else_is_cancelled_and_says_so() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            task = asyncio.create_task(backend.render(make_job(), ignore))
            await until(lambda: fake.worker.running is not None)
            await asyncio.sleep(0.05)
            fake.worker.interrupt(None)
            with pytest.raises(Cancelled) as caught:
                await asyncio.wait_for(task, 3)
    assert caught.value.reason == "COMFY_INTERRUPTED"
    assert caught.value.metadata["node"] == "3"


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
async def test_cancelling_a_running_job_stops_exactly_it(jobs_api: bool) -> None:
    script = Script(step_seconds=0.05, jobs_api=jobs_api)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job, other = make_job(), make_job()
        first = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: fake.executions.get(prompt_id_of(job), 0) == 1)
        second = asyncio.create_task(backend.render(other, ignore))
        await until(lambda: len(fake.worker.pending) == 1)
        began = time.monotonic()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert time.monotonic() - began < 2.0
        await second
        last = fake.worker.history[prompt_id_of(job)]["status"]["messages"][-1][0]
        assert last == "execution_interrupted"


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
async def test_cancelling_a_queued_job_means_that_it_never_runs(jobs_api: bool) -> None:
    script = Script(step_seconds=0.05, jobs_api=jobs_api)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        first = asyncio.create_task(backend.render(make_job(), ignore))
        await until(lambda: fake.worker.running is not None)
        job = make_job()
        second = asyncio.create_task(backend.render(job, ignore))
        await until(lambda: len(fake.worker.pending) == 1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert not fake.worker.pending
        await first
        assert prompt_id_of(job) not in fake.executions


async def test_cancelling_while_the_prompt_is_on_its_way_leaves_nothing_behind() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            for delay in (0.0, 0.001, 0.003, 0.005, 0.01, 0.02):
                task = asyncio.create_task(backend.render(make_job(), ignore))
                await asyncio.sleep(delay)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await until(lambda: fake.worker.remaining == 0)


async def test_a_hanging_node_ends_with_the_deadline_and_is_stopped() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        job = make_job(config(deadline_seconds=0.7))
        began = time.monotonic()
        error = await failure(fake, job)
        assert time.monotonic() - began < 3.0
        assert (type(error), error.reason) == (DeadlineExceeded, "DEADLINE")
        await until(lambda: fake.worker.running is None)


async def test_a_frozen_process_ends_with_the_deadline() -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        async with connected(fake.url) as backend:
            job = make_job(config(deadline_seconds=1.5))
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            fake.script.frozen = True
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await task
            assert time.monotonic() - began < 5.0
            fake.script.frozen = False


@pytest.mark.parametrize("jobs_api", [True, False], ids=["new", "old"])
@pytest.mark.parametrize("waits", [False, True], ids=["running", "pending"])
async def test_who_took_a_job_up_makes_it_anew_when_the_one_who_began_it_takes_it_back(
    jobs_api: bool, waits: bool
) -> None:
    # Two copies of the service: the first is stopped because nobody waits there any more.
    script = Script(step_seconds=0.05, jobs_api=jobs_api)
    async with (
        fake_comfyui(script=script) as fake,
        connected(fake.url) as one,
        connected(fake.url) as two,
    ):
        before = asyncio.create_task(one.render(make_job(), ignore)) if waits else None
        if before is not None:
            await until(lambda: fake.worker.running is not None)
        job = make_job()
        first = asyncio.create_task(one.render(job, ignore))
        if waits:
            await until(lambda: len(fake.worker.pending) == 1)
        else:
            await until(lambda: fake.executions.get(prompt_id_of(job), 0) == 1)
        told: list[str] = []
        second = asyncio.create_task(two.render(job, lambda progress: told.append(progress.phase)))
        await until(lambda: bool(told))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        product = await second
        # What was interrupted stands in the history under its id; what only waited left no trace.
        assert product.metadata["prompt_id"] == prompt_id_of(job, 0 if waits else 1)
        assert fake.executions[product.metadata["prompt_id"]] == 1
        if before is not None:
            await before
