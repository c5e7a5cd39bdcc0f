"""Several ComfyUIs as one pool: what waits where, who is next, and what happens when one goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.kit.errors import FailedPrecondition, NotFound, ResourceExhausted
from services.media.comfy import ComfyBackend, course, durations, health, pool, prompt_id_of
from services.media.ports import BackendStatus, InstanceStatus, RenderJob, RenderProgress
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, connected, ignore, make_job, read, shipped, until
from tests.fakes.comfyui.nodes import MODELS, node_table
from tests.support.eventually import eventually

WITHOUT_SD35 = {**MODELS, "ckpt_name": ["something_else.safetensors"]}


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "TEND_SECONDS", 0.05)
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)


def hung() -> Script:
    """A job begins and goes on when `hang_at` is None."""
    return Script(hang_at="KSampler")


class Batch:
    """Jobs handed to a backend one after another; all are stopped at the end."""

    def __init__(self, backend: ComfyBackend) -> None:
        self.backend = backend
        self.jobs: list[RenderJob] = []
        self.tasks: list[asyncio.Task[bytes]] = []
        self.told: list[list[RenderProgress]] = []

    async def add(self, user_id: str = "", name: str = "sd35_large") -> RenderJob:
        """Hand in a job and wait until it has found its place."""
        job = make_job(config(name), user_id=user_id, seed=len(self.jobs))
        told: list[RenderProgress] = []
        self.jobs.append(job)
        self.told.append(told)
        self.tasks.append(asyncio.create_task(self._make(job, told)))
        await until(lambda: bool(told))
        return job

    async def _make(self, job: RenderJob, told: list[RenderProgress]) -> bytes:
        return await read(await self.backend.render(job, told.append))

    async def done(self) -> list[bytes]:
        """Wait for all of them."""
        return await asyncio.wait_for(asyncio.gather(*self.tasks), 20)


@asynccontextmanager
async def batch_of(*urls: str, max_waiting: int = 64) -> AsyncIterator[Batch]:
    """Jobs for a backend with these instances."""
    async with connected(*urls, max_waiting=max_waiting) as backend:
        batch = Batch(backend)
        try:
            yield batch
        finally:
            for task in batch.tasks:
                task.cancel()
            await asyncio.gather(*batch.tasks, return_exceptions=True)


def order_of(fake: FakeComfyUI, jobs: list[RenderJob]) -> list[int]:
    """Which of these jobs were executed here, in order."""
    numbers = {prompt_id_of(job.upload): number for number, job in enumerate(jobs)}
    return [numbers[prompt_id] for prompt_id in fake.executions]


async def status(backend: ComfyBackend) -> BackendStatus:
    """What operators are told now."""
    names = ("sd35_large", "flux2")
    return await backend.status([shipped().configs[name] for name in names])


async def instance(backend: ComfyBackend, number: int = 0) -> InstanceStatus:
    """What operators are told of one instance."""
    return (await status(backend)).instances[number]


async def becomes(backend: ComfyBackend, state: str) -> None:
    """Wait until operators are told that the first instance is so."""

    async def is_so() -> bool:
        return (await instance(backend)).state == state

    await eventually(is_so, 5.0, f"state {state}")


async def test_an_instance_gets_one_job_to_run_and_one_to_wait_and_no_more() -> None:
    most = 0
    async with fake_comfyui(script=hung()) as fake, batch_of(fake.url) as batch:

        def count(class_type: str, item: object) -> None:
            nonlocal most
            most = max(most, fake.worker.remaining)

        fake.worker.on_node = count
        for _ in range(6):
            await batch.add()
        await until(lambda: fake.worker.remaining == 2)
        found = await status(batch.backend)
        assert (found.waiting, found.available) == (4, True)
        (one,) = found.instances
        assert (one.state, one.running, one.waiting, one.queue_length) == ("busy", 1, 1, 2)
        assert len(fake.prompts) == 2
        fake.script.hang_at = None
        await batch.done()
        assert order_of(fake, batch.jobs) == [0, 1, 2, 3, 4, 5], "first come, first served"
        assert set(fake.executions.values()) == {1}
        assert most == 2


async def test_people_take_turns_however_many_jobs_one_of_them_has() -> None:
    async with fake_comfyui(script=hung()) as fake, batch_of(fake.url) as batch:
        for user in ("ada", "ada", "ada", "ada", "ada", "bob", "bob"):
            await batch.add(user)
        await until(lambda: fake.worker.remaining == 2)
        fake.script.hang_at = None
        await batch.done()
        # Two of Ada's were at the instance when Bob came.
        assert order_of(fake, batch.jobs) == [0, 1, 5, 2, 6, 3, 4]


async def test_everybody_is_told_how_many_jobs_are_before_theirs() -> None:
    async with fake_comfyui(script=hung()) as fake, batch_of(fake.url) as batch:
        for _ in range(4):
            await batch.add()
        await until(lambda: fake.worker.remaining == 2)
        await until(lambda: batch.told[3][-1].queue_position == 3)
        assert [told[-1].queue_position for told in batch.told] == [0, 1, 2, 3]
        assert [told[-1].phase for told in batch.told] == ["executing", *["queued"] * 3]
        fake.script.hang_at, fake.script.step_seconds = None, 0.02
        await batch.done()
        for told in batch.told:
            places = [one.queue_position for one in told if one.phase == "queued"]
            assert places == sorted(places, reverse=True), "nobody is sent back"


async def test_what_waits_with_us_goes_to_an_instance_that_comes_back() -> None:
    async with fake_comfyui(script=hung()) as busy, fake_comfyui() as away:
        await away.stop()
        async with batch_of(busy.url, away.url) as batch:
            for _ in range(4):
                await batch.add()
            assert (await instance(batch.backend, 1)).state == "down"
            assert (await instance(batch.backend, 1)).reason == f"no ComfyUI answers at {away.url}"
            await away.start()
            await until(lambda: batch.tasks[2].done() and batch.tasks[3].done())
            assert order_of(away, batch.jobs) == [2, 3]
            assert busy.worker.remaining == 2
            busy.script.hang_at = None
            await batch.done()


async def test_what_waits_with_us_is_stopped_without_a_word_to_comfyui() -> None:
    async with fake_comfyui(script=hung()) as fake, batch_of(fake.url) as batch:
        for _ in range(4):
            await batch.add()
        await until(lambda: batch.told[3][-1].queue_position == 3)
        batch.tasks[2].cancel()
        await until(lambda: batch.told[3][-1].queue_position == 2)
        assert len(fake.prompts) == 2
        fake.script.hang_at = None
        await asyncio.gather(*batch.tasks, return_exceptions=True)
        assert order_of(fake, batch.jobs) == [0, 1, 3]


async def test_more_than_the_queue_holds_is_refused_with_a_time_to_come_back() -> None:
    async with fake_comfyui(script=hung()) as fake, batch_of(fake.url, max_waiting=2) as batch:
        for _ in range(4):
            await batch.add()
        await until(lambda: fake.worker.remaining == 2)
        with pytest.raises(ResourceExhausted) as caught:
            await batch.backend.render(make_job(), ignore)
        assert caught.value.reason == "MEDIA_BUSY"
        assert caught.value.retry_after_seconds == 10.0, "what a job takes is not known yet"
        found = await status(batch.backend)
        assert (found.available, found.reason) == (False, "2 jobs wait already")
        fake.script.hang_at = None
        await batch.done()
        assert await read(await batch.backend.render(make_job(), ignore))


async def test_a_drained_instance_ends_what_it_runs_and_gives_back_what_waits() -> None:
    async with fake_comfyui(script=hung()) as tired, fake_comfyui() as other:
        await other.stop()
        async with batch_of(tired.url, other.url) as batch:
            for _ in range(2):
                await batch.add()
            await until(lambda: tired.worker.remaining == 2)
            await other.start()
            told = await batch.backend.set_draining(tired.url, draining=True)
            assert (told.state, told.running) == ("draining", 1)
            await until(lambda: batch.tasks[1].done())
            assert order_of(other, batch.jobs) == [1]
            assert tired.worker.remaining == 1
            await batch.add()
            await asyncio.wait_for(batch.tasks[2], 5)
            assert order_of(other, batch.jobs) == [1, 2]
            tired.script.hang_at = None
            await batch.done()
            assert order_of(tired, batch.jobs) == [0], "what ran went on to its end"
            told = await batch.backend.set_draining(tired.url, draining=False)
            assert (told.state, told.running, told.waiting) == ("ready", 0, 0)


@pytest.mark.parametrize("hold", ["before POST /prompt", "after POST /prompt"])
async def test_a_job_that_is_on_its_way_to_a_drained_instance_is_made_once(hold: str) -> None:
    async with fake_comfyui(script=Script(hold=hold)) as tired, fake_comfyui() as other:
        async with batch_of(tired.url, other.url) as batch:
            await batch.add()
            await until(lambda: tired.held == 1)
            await batch.backend.set_draining(tired.url, draining=True)
            tired.script.hold = ""
            await batch.done()
            assert sorted([*tired.executions.values(), *other.executions.values()]) == [1]
            assert tired.worker.remaining == 0


async def test_what_waited_on_the_only_instance_is_kept_until_it_is_given_back() -> None:
    async with fake_comfyui(script=hung()) as fake, batch_of(fake.url) as batch:
        for _ in range(3):
            await batch.add()
        await until(lambda: fake.worker.remaining == 2)
        await batch.backend.set_draining(fake.url, draining=True)
        await until(lambda: fake.worker.remaining == 1)
        reason = await batch.backend.unavailable_reason(config())
        assert reason == f"{fake.url} is being drained"
        with pytest.raises(Exception, match="is being drained"):
            await batch.backend.render(make_job(), ignore)
        fake.script.hang_at = None
        await until(lambda: batch.tasks[0].done())
        # Maintenance: not even a restart loses what waits.
        await fake.restart()
        assert not batch.tasks[1].done()
        await batch.backend.set_draining(fake.url, draining=False)
        await batch.done()
        assert order_of(fake, batch.jobs) == [0, 1, 2], "it had its turn, and has it back"
        assert set(fake.executions.values()) == {1}


async def test_an_instance_that_nobody_knows_cannot_be_drained() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        with pytest.raises(NotFound, match=f"INSTANCE_NOT_FOUND.*{fake.url}"):
            await backend.set_draining("http://127.0.0.1:1", draining=True)


async def test_a_dead_worker_is_seen_before_a_job_of_ours_is_lost_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "STALLED_SECONDS", 0.3)
    async with fake_comfyui(script=Script(dead_worker=True)) as dead, fake_comfyui() as well:
        # A job of somebody else waits there, and none runs.
        async with connected(dead.url) as other:
            foreign = asyncio.create_task(other.render(make_job(), ignore))
            await until(lambda: dead.worker.remaining == 1)
            async with batch_of(dead.url, well.url) as batch:
                await becomes(batch.backend, "stalled")
                sent = len(dead.prompts)
                for _ in range(3):
                    await batch.add()
                await batch.done()
                assert order_of(well, batch.jobs) == [0, 1, 2]
                assert len(dead.prompts) == sent
                told = await instance(batch.backend)
                assert told.reason == (
                    f"ComfyUI at {dead.url} takes jobs in and runs none; restart it"
                )
                assert told.queue_length == 1
                dead.script.dead_worker, dead.script.hang_at = False, "KSampler"
                dead.worker.wake()
                await becomes(batch.backend, "ready")
                dead.script.hang_at = None
                await asyncio.wait_for(foreign, 5)


async def test_a_restart_puts_an_instance_with_a_dead_worker_back_to_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "STALLED_SECONDS", 0.3)
    async with fake_comfyui(script=Script(dead_worker=True)) as fake, batch_of(fake.url) as batch:
        with pytest.raises(Exception, match="takes jobs in and runs none"):
            await batch.backend.render(make_job(), ignore)
        assert (await instance(batch.backend)).state == "stalled"
        await fake.stop()
        await becomes(batch.backend, "down")
        fake.script.dead_worker = False
        await fake.start()
        await becomes(batch.backend, "ready")
        await batch.add()
        await batch.done()


async def test_after_a_while_a_dead_worker_gets_one_job_to_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(health, "SHUNNED_SECONDS", 0.2)
    async with fake_comfyui(script=Script(dead_worker=True)) as fake, batch_of(fake.url) as batch:
        with pytest.raises(Exception, match="takes jobs in and runs none"):
            await batch.backend.render(make_job(), ignore)
        await becomes(batch.backend, "ready")
        told = await instance(batch.backend)
        assert told.reason == "its worker was dead; it gets one job to try"
        fake.script.hold = "before POST /prompt"
        for _ in range(2):
            await batch.add()
        await until(lambda: fake.held == 1)
        assert ((await status(batch.backend)).waiting, fake.worker.remaining) == (1, 0)
        fake.script.dead_worker, fake.script.hold = False, ""
        await batch.done()
        assert order_of(fake, batch.jobs) == [0, 1]
        assert (await instance(batch.backend)).reason == "its last job was sd35_large"


async def test_who_has_the_model_in_memory_gets_the_job_then_who_has_the_shortest_queue() -> None:
    async with fake_comfyui(script=hung()) as one, fake_comfyui() as two:
        async with batch_of(one.url, two.url) as batch:
            await batch.add(name="sd35_large")
            await until(lambda: one.worker.running is not None)
            await batch.add(name="flux2")
            await batch.tasks[1]
            assert order_of(two, batch.jobs) == [1], "one is at work"
            await batch.add(name="sd35_large")
            await until(lambda: one.worker.remaining == 2)
            assert len(two.prompts) == 1, "a job of ours ahead is sooner over than a model loaded"
            await batch.add(name="sd35_large")
            await batch.tasks[3]
            assert order_of(two, batch.jobs) == [1, 3], "one has no room"
            one.script.hang_at = None
            await batch.done()
            for name in ("flux2", "sd35_large", "flux2"):
                await batch.add(name=name)
                await batch.tasks[-1]
            assert order_of(one, batch.jobs)[:3] == [0, 2, 4], "neither has it: the first"
            # Now one has flux2, and two has sd35_large.
            assert order_of(one, batch.jobs) == [0, 2, 4, 6]
            assert order_of(two, batch.jobs) == [1, 3, 5]


async def test_nobody_waits_behind_a_long_job_for_a_model_that_is_sooner_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(durations, "UNKNOWN_SECONDS", 60.0)
    async with fake_comfyui(script=hung()) as one, fake_comfyui() as two:
        async with batch_of(one.url, two.url) as batch:
            await batch.add()
            await until(lambda: one.worker.running is not None)
            await batch.add()
            await batch.tasks[1]
            assert order_of(two, batch.jobs) == [1]
            one.script.hang_at = None
            await batch.done()


async def test_a_refusal_names_what_lacks_on_which_instance() -> None:
    nodes = node_table()
    del nodes["KSampler"]
    async with (
        fake_comfyui(nodes=node_table(WITHOUT_SD35)) as one,
        fake_comfyui(nodes=nodes) as two,
    ):
        async with connected(one.url, two.url, "http://127.0.0.1:9") as backend:
            with pytest.raises(FailedPrecondition) as caught:
                await backend.render(make_job(), ignore)
            assert caught.value.message.split("; ") == [
                f"model sd3.5_large.safetensors is missing on {one.url}",
                f"node KSampler is missing on {two.url}",
                "no ComfyUI answers at http://127.0.0.1:9",
            ]
            found = await status(backend)
            assert [dict(told.unfit_configs) for told in found.instances] == [
                {"sd35_large": "model sd3.5_large.safetensors is missing"},
                {"sd35_large": "node KSampler is missing"},
                {},
            ]


async def test_a_job_that_an_instance_has_already_is_taken_up_before_all_that_wait() -> None:
    async with fake_comfyui(script=hung()) as fake, connected(fake.url) as earlier:
        job = make_job()
        before = asyncio.create_task(earlier.render(job, ignore))
        await until(lambda: fake.worker.running is not None)
        async with batch_of(fake.url, max_waiting=1) as batch:
            for _ in range(2):
                await batch.add()
            await until(lambda: fake.worker.remaining == 2)
            told: list[RenderProgress] = []
            adopted = asyncio.create_task(batch.backend.render(job, told.append))
            await until(lambda: bool(told) and told[-1].phase == "executing")
            assert (await status(batch.backend)).waiting == 1
            fake.script.hang_at = None
            await asyncio.gather(before, adopted, batch.done())
            assert set(fake.executions.values()) == {1}
            assert len(fake.prompts) == 3


async def test_operators_are_told_version_and_memory_and_what_ran_last() -> None:
    async with fake_comfyui() as fake, batch_of(fake.url) as batch:
        fake.devices = [{"name": "cuda:0", "vram_total": 24 * 2**30, "vram_free": 2**30}]
        assert (await instance(batch.backend)).reason == ""
        await batch.add()
        await batch.done()
        told = await instance(batch.backend)
        assert told == InstanceStatus(
            url=fake.url,
            state="ready",
            reason="its last job was sd35_large",
            version="0.26.0",
            vram_total_bytes=24 * 2**30,
            vram_free_bytes=2**30,
        )
        fake.devices = [{"vram_total": "much", "vram_free": -1}]
        assert (await instance(batch.backend)).vram_total_bytes == 0


async def test_without_any_address_operators_are_told_the_setting() -> None:
    async with connected() as backend:
        found = await status(backend)
        assert found == BackendStatus(
            "comfyui", available=False, reason="set ARTLAB_MEDIA_COMFYUI_URLS to use ComfyUI"
        )


async def test_an_instance_killed_in_the_middle_of_twenty_jobs_costs_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "REFUSED_SECONDS", 0.3)
    scripts = [Script(step_seconds=0.02) for _ in range(3)]
    async with (
        fake_comfyui(script=scripts[0]) as one,
        fake_comfyui(script=scripts[1]) as two,
        fake_comfyui(script=scripts[2]) as three,
        batch_of(one.url, two.url, three.url) as batch,
    ):

        def stop_in_the_third(class_type: str, item: object) -> None:
            if class_type == "KSampler" and len(two.executions) == 3:
                two.script.hang_at = class_type

        two.worker.on_node = stop_in_the_third
        for number in range(20):
            await batch.add(f"person {number % 5}")
        await until(lambda: two.script.hang_at is not None and len(two.worker.pending) == 1, 20)
        assert two.worker.running is not None
        cut = two.worker.running.prompt_id
        await two.stop()
        pictures = await batch.done()
        assert len(set(pictures)) == 20, "each its own"
        ran = Counter[str]()
        for fake in (one, two, three):
            ran.update(fake.executions)
        assert ran.pop(cut) == 2, "begun there, and once more elsewhere"
        assert sorted(ran.values()) == [1] * 19
        files = [
            path.name for fake in (one, three) for path in (fake.root / "output").rglob("*.png")
        ]
        assert len(files) == 20 - 2, "two were done at the one that was killed"
