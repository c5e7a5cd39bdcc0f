"""The real backend against the fake ComfyUI, when nothing goes wrong."""

from __future__ import annotations

import asyncio
import io
import uuid

import pytest
from PIL import Image

from services.media.comfy import prompt_id_of
from services.media.ports import RenderProgress
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import PROMPT, config, connected, ignore, make_job, read, until


@pytest.mark.parametrize("name", ["sd35_large", "flux2", "qwen_image"])
async def test_every_shipped_workflow_ends_in_a_picture_of_the_size_asked_for(name: str) -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        job = make_job(config(name))
        product = await backend.render(job, ignore)
        picture = Image.open(io.BytesIO(await read(product)))
        assert (picture.format, picture.size) == ("PNG", (256, 256))
        assert product.backend == "comfyui"
        assert product.model
        assert fake.executions == {prompt_id_of(job.upload): 1}


async def test_the_prompt_arrives_byte_identical_in_the_node_it_belongs_to() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        await backend.render(make_job(seed=2**53 - 1), ignore)
    graph = fake.prompts[0]["prompt"]
    assert graph["16"]["inputs"]["text"] == PROMPT
    assert graph["40"]["inputs"]["text"] == ""
    assert graph["3"]["inputs"]["seed"] == 2**53 - 1


async def test_the_request_is_ours_alone() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        job = make_job()
        await backend.render(job, ignore)
        body = fake.prompts[0]
        assert set(body) - {"extra_data"} == {"prompt", "client_id", "prompt_id"}
        assert body.get("extra_data", {}) in ({}, {"preview_method": "auto"})
        assert str(uuid.UUID(body["prompt_id"])) == body["prompt_id"] == prompt_id_of(job.upload)
        assert body["client_id"] in fake.client_ids
        prefix = body["prompt"]["9"]["inputs"]["filename_prefix"]
        assert prefix == f"artlab/{body['prompt_id']}"
        assert not [seen for seen in fake.requests if "Origin" in seen.headers]


async def test_uploads_and_repetitions_have_prompt_ids_of_their_own() -> None:
    one, other = make_job().upload, make_job().upload
    assert prompt_id_of(one) == prompt_id_of(one)
    assert len({prompt_id_of(one), prompt_id_of(one, 1), prompt_id_of(other)}) == 3


async def test_progress_is_one_fraction_that_never_goes_back() -> None:
    seen: list[RenderProgress] = []
    script = Script(node_seconds=0.005, step_seconds=0.01)
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        await backend.render(make_job(), seen.append)
    fractions = [progress.fraction for progress in seen]
    assert seen[0].phase == "queued"
    assert {progress.phase for progress in seen} == {"queued", "executing"}
    assert fractions == sorted(fractions)
    assert 0.9 < fractions[-1] <= 1.0
    # Each of four sampler steps moved it: they are most of the work.
    assert len({round(value, 2) for value in fractions if value > 0.1}) >= 4
    assert {"KSampler 3", "VAEDecode 8"} <= {progress.node for progress in seen}
    assert {progress.instance for progress in seen} == {fake.url}


async def test_a_waiting_job_is_told_how_many_run_before_it() -> None:
    script = Script(hang_at="KSampler")
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        first = asyncio.create_task(backend.render(make_job(), ignore))
        positions: list[int] = []
        await until(lambda: fake.worker.running is not None)
        second = asyncio.create_task(
            backend.render(make_job(), lambda told: positions.append(told.queue_position))
        )
        await until(lambda: 1 in positions)
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await until(lambda: fake.worker.remaining == 0)


async def test_eight_jobs_at_once_get_each_its_own_picture() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        jobs = [make_job(seed=seed) for seed in range(1, 9)]
        products = await asyncio.gather(*(backend.render(job, ignore) for job in jobs))
        contents = [await read(product) for product in products]
        assert len(set(contents)) == 8
        assert set(fake.executions.values()) == {1}
        assert len(fake.client_ids) == 1, "one websocket is shared"


async def test_a_product_can_be_read_again_from_the_start() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        product = await backend.render(make_job(), ignore)
        assert await read(product) == await read(product)


async def test_a_cached_run_gives_its_own_new_file() -> None:
    async with fake_comfyui() as fake, connected(fake.url) as backend:
        first = await backend.render(make_job(), ignore)
        second = await backend.render(make_job(), ignore)
        assert first.metadata["filename"] != second.metadata["filename"]
        assert await read(second)
