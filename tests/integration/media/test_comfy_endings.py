"""Stopping: by us, by somebody else, by the deadline."""

from __future__ import annotations

import asyncio
import time
from http.client import HTTPConnection

import pytest

from services.kit.errors import (
    Cancelled,
    DeadlineExceeded,
)
from services.media.comfy import course, prompt_id_of, stopping
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
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
        await until(lambda: fake.executions.get(prompt_id_of(job.upload), 0) == 1)
        second = asyncio.create_task(backend.render(other, ignore))
        await until(lambda: len(fake.worker.pending) == 1)
        began = time.monotonic()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert time.monotonic() - began < 2.0
        await second
        last = fake.worker.history[prompt_id_of(job.upload)]["status"]["messages"][-1][0]
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
        assert prompt_id_of(job.upload) not in fake.executions


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


class Route:
    """The way to one fake; without it connections fail as to a machine that is off."""

    def __init__(self, fake: FakeComfyUI, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_there = True
        connect = HTTPConnection.connect

        def by_this_way(connection: HTTPConnection) -> None:
            if connection.port == fake.port and not self.is_there:
                raise OSError(113, "No route to host")
            connect(connection)

        monkeypatch.setattr(HTTPConnection, "connect", by_this_way)


async def test_a_cancel_that_cannot_arrive_returns_soon_and_arrives_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.2)
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        route = Route(fake, monkeypatch)
        async with connected(fake.url) as backend:
            task = asyncio.create_task(backend.render(make_job(), ignore))
            await until(lambda: fake.worker.running is not None)
            route.is_there = False
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < 3.0
            assert fake.worker.running is not None
            route.is_there = True
            await until(lambda: fake.worker.running is None)


async def test_who_asks_again_before_the_cancel_arrived_gets_the_job_that_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 60.0)
    async with fake_comfyui(script=Script(hang_at="KSampler")) as fake:
        route = Route(fake, monkeypatch)
        async with connected(fake.url) as backend:
            job = make_job()
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: fake.worker.running is not None)
            route.is_there = False
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            route.is_there = True
            task = asyncio.create_task(backend.render(job, ignore))
            await asyncio.sleep(0.5)
            fake.script.hang_at = None
            product = await asyncio.wait_for(task, 10)
            assert product.metadata["prompt_id"] == prompt_id_of(job.upload)
            assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_a_job_that_moved_is_stopped_where_it_was_when_that_instance_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "AWAY_SECONDS", 0.5)
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.2)
    async with fake_comfyui(script=Script(hang_at="KSampler")) as one, fake_comfyui() as two:
        route = Route(one, monkeypatch)
        async with connected(one.url, two.url) as backend:
            job = make_job()
            task = asyncio.create_task(backend.render(job, ignore))
            await until(lambda: one.worker.running is not None)
            route.is_there = False
            product = await asyncio.wait_for(task, 15)
            assert (product.attempt, two.executions) == (2, {prompt_id_of(job.upload): 1})
            assert one.worker.running is not None
            route.is_there = True
            await until(lambda: one.worker.running is None)
            again = await backend.render(job, ignore)
            assert again.metadata["prompt_id"] == prompt_id_of(job.upload)
            assert two.executions == {prompt_id_of(job.upload): 1}, "taken from where it is done"


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
            await until(lambda: fake.executions.get(prompt_id_of(job.upload), 0) == 1)
        told: list[str] = []
        second = asyncio.create_task(two.render(job, lambda progress: told.append(progress.phase)))
        await until(lambda: bool(told))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        product = await second
        # What was interrupted stands in the history under its id; what only waited left no trace.
        assert product.metadata["prompt_id"] == prompt_id_of(job.upload, 0 if waits else 1)
        assert fake.executions[product.metadata["prompt_id"]] == 1
        if before is not None:
            await before
