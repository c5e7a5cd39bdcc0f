"""Previews and remaining time through the whole service: small, few, droppable, unchecked."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import itertools
import random
import time

import pytest
from PIL import Image

from artlab.media.v1 import media_pb2
from services.media.comfy import ComfyBackend, previews
from services.media.ports import Preview, RenderProgress
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import config, connected, ignore, make_job, read, until
from tests.integration.media.world import media_beside
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(40)

SMALL = {"width": "256", "height": "256", "steps": "8"}


def preview(side: int = 512) -> bytes:
    """A JPEG as ComfyUI's samplers show it: some 100 KB of noise."""
    file = io.BytesIO()
    noise = random.Random(1).randbytes(side * side * 3)
    Image.frombytes("RGB", (side, side), noise).save(file, "JPEG", quality=60)
    return file.getvalue()


@pytest.mark.parametrize("metadata", [True, False], ids=["with metadata", "before 0.3.45"])
async def test_previews_come_as_small_pictures_and_at_most_two_a_second(
    recorder_target: str, metadata: bool
) -> None:
    script = Script(step_seconds=0.15, preview=preview(), preview_metadata=metadata)
    output = dataclasses.replace(config(), backend="builtin")
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        # As with `--preview-method auto`: it need not be asked for them.
        fake.worker.previews = (None, "auto")
        await warm(backend)
        async with media_beside(
            recorder_target, configs={"picture": output}, backend=backend
        ) as world:
            upload, began = await world.upload(), time.monotonic()
            answers: list[media_pb2.GenerateMediaResponse] = [
                answer async for answer in world.generate(upload, parameters=SMALL)
            ]
            took = time.monotonic() - began
        asked = [prompt.get("extra_data", {}).get("preview_method") for prompt in fake.prompts]
    assert asked[-1] == ("auto" if metadata else None)
    shown = [answer.preview for answer in answers if answer.HasField("preview")]
    assert 2 <= len(shown) <= 1 + 2 * took, "8 steps of 0.15 s at least"
    for one in shown:
        assert (one.output_index, one.media_type) == (1, "image/jpeg")
        assert len(one.data) <= 64 * 1024
        assert max(Image.open(io.BytesIO(one.data)).size) <= 384
    assert answers[-1].HasField("result")


async def test_of_two_jobs_each_gets_its_own_previews_only() -> None:
    script = Script(step_seconds=0.1, preview=preview(64))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        await warm(backend)
        told: dict[int, list[RenderProgress]] = {2: [], 3: []}
        jobs = [backend.render(make_job(seed=seed), told[seed].append) for seed in told]
        await asyncio.gather(*jobs)
    for progress in told.values():
        assert [one for one in progress if one.preview is not None]
        assert not [one for one in progress if one.preview and one.phase != "executing"]


@pytest.mark.parametrize("data", [b"no picture", preview()[:1000]])
async def test_what_is_no_picture_is_dropped_and_the_job_goes_on(data: bytes) -> None:
    script = Script(step_seconds=0.02, preview=data)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        told: list[RenderProgress] = []
        await backend.render(make_job(), ignore)
        assert await read(await backend.render(make_job(seed=8), told.append))
        assert not [one for one in told if one.preview is not None]


async def test_making_previews_small_never_holds_up_the_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(previews, "TASK", "tests.support.limited_tasks:slow")
    script = Script(step_seconds=0.02, preview=preview(64))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        await backend.render(make_job(), ignore)
        told: list[RenderProgress] = []
        assert await read(await backend.render(make_job(seed=8), told.append))
        # The process is at the first one yet.
        assert len(told) >= 4
        assert not [one for one in told if one.preview is not None]


async def test_one_is_made_small_at_a_time_and_only_so_many_of_all_jobs_together() -> None:
    shown: list[Preview] = []
    frame = previews.PreviewFrame("job", memoryview(preview(64)))
    now = 0.0
    maker = previews.PreviewMaker(now=lambda: now)

    def free() -> bool:
        return maker.is_free

    try:
        assert free()
        maker.make(frame, shown.append)
        now += previews.EVERY_SECONDS
        assert not free()
        await eventually(free, 20)
        assert len(shown) == 1
        maker.make(frame, shown.append)
        await eventually(lambda: len(shown) == 2)
        assert not free(), "too soon"
    finally:
        await maker.close()


async def warm(backend: ComfyBackend) -> None:
    """Make pictures until one was shown: the socket is open, and the process runs."""
    for number in itertools.count(1000):
        told: list[RenderProgress] = []
        await backend.render(make_job(seed=number), told.append)
        if any(progress.preview is not None for progress in told):
            return


async def test_a_picture_that_breaks_its_process_costs_a_pause_and_no_job(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(previews, "TASK", "tests.support.limited_tasks:dying")
    script = Script(step_seconds=0.05, preview=preview(64))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        await backend.render(make_job(), ignore)
        told: list[RenderProgress] = []
        job = make_job(seed=8)
        assert await read(await backend.render(job, told.append))
        assert not [one for one in told if one.preview is not None]
        await eventually(lambda: "no preview" in caplog.messages)
    assert caplog.messages.count("no preview") == 1


async def test_nobody_asks_for_previews_where_they_are_switched_off() -> None:
    script = Script(preview=preview(64))
    async with fake_comfyui(script=script) as fake, connected(fake.url, previews=False) as backend:
        told: list[RenderProgress] = []
        for _ in range(2):
            await backend.render(make_job(), told.append)
        assert not [one for one in told if one.preview is not None]
        assert not [prompt for prompt in fake.prompts if "extra_data" in prompt]


async def test_remaining_time_is_told_from_earlier_jobs_of_the_same_workflow() -> None:
    script = Script(step_seconds=0.1)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        told: list[RenderProgress] = []
        product = await backend.render(make_job(), told.append)
        assert {one.remaining_seconds for one in told} == {None}
        assert float(product.metadata["execution_seconds"]) >= 0.4
        assert float(product.metadata["model_load_seconds"]) < 0.2
        told.clear()
        began = asyncio.get_running_loop().time()
        left: list[tuple[float, float]] = []

        def note(progress: RenderProgress) -> None:
            told.append(progress)
            if progress.remaining_seconds is not None:
                now = asyncio.get_running_loop().time() - began
                left.append((now, progress.remaining_seconds))

        await backend.render(make_job(seed=8), note)
        took = asyncio.get_running_loop().time() - began
        assert len(left) > 3
        for now, remaining in left:
            assert abs(now + remaining - took) < 0.3 + took / 2, "an estimate that fits the end"
        assert left[-1][1] < left[0][1] / 2


async def test_remaining_time_reaches_the_caller(recorder_target: str) -> None:
    output = dataclasses.replace(config(), backend="builtin")
    async with fake_comfyui(script=Script(step_seconds=0.05)) as fake:
        async with (
            connected(fake.url) as backend,
            media_beside(recorder_target, configs={"picture": output}, backend=backend) as world,
        ):
            await world.made(await world.upload(), parameters=SMALL)
            answers = [a async for a in world.generate(await world.upload(), parameters=SMALL)]
    with_rest = [a.progress for a in answers if a.progress.HasField("remaining")]
    assert with_rest
    assert 0 <= with_rest[-1].remaining.ToTimedelta().total_seconds() < 5
    fractions = [a.progress.fraction for a in answers if a.HasField("progress")]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


async def test_previews_of_a_job_that_nobody_follows_any_more_are_dropped() -> None:
    script = Script(step_seconds=0.02, preview=preview(64))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        task = asyncio.create_task(backend.render(make_job(), ignore))
        await until(lambda: fake.worker.running is not None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await read(await backend.render(make_job(seed=8), ignore))
