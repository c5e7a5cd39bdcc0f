"""A prompt is handed in once; refusals and answers that stay out."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from services.kit.errors import (
    ArtlabError,
    Unavailable,
)
from services.media.comfy import prompt_id_of
from tests.fakes.comfyui import Script, fake_comfyui
from tests.fakes.comfyui.jobs import (
    config,
    connected,
    failure,
    ignore,
    make_job,
    read,
    until,
)


async def test_a_connection_refused_is_unavailable_with_a_time_to_come_back() -> None:
    async with fake_comfyui() as fake:
        url = fake.url
    async with connected(url) as backend:
        with pytest.raises(Unavailable) as caught:
            await backend.render(make_job(), ignore)
        assert caught.value.reason == "COMFY_UNAVAILABLE"
        assert caught.value.retry_after_seconds
        reason = await backend.unavailable_reason(config())
        assert reason == f"no ComfyUI answers at {url}"


@pytest.mark.parametrize("answer", ["cut", "500", "lost"])
async def test_an_unanswered_post_never_makes_the_picture_twice(answer: str) -> None:
    script = Script(prompt_answers=deque([answer]))
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job = make_job()
        assert await read(await backend.render(job, ignore))
        assert fake.executions == {prompt_id_of(job.upload): 1}
        looks = [seen.path for seen in fake.requests]
        after = looks[looks.index("/prompt", looks.index("/queue")) :]
        assert "/queue" in after, "it looked before it sent anything again"


async def test_a_job_of_an_earlier_life_is_taken_up_and_not_repeated() -> None:
    async with fake_comfyui() as fake:
        job = make_job()
        async with connected(fake.url) as backend:
            first = await read(await backend.render(job, ignore))
        async with connected(fake.url) as backend:
            assert await read(await backend.render(job, ignore)) == first
        assert fake.executions == {prompt_id_of(job.upload): 1}


@pytest.mark.parametrize("fail", ["failed", "interrupted", "file deleted"])
async def test_a_job_that_failed_may_be_tried_again_under_the_same_upload_name(fail: str) -> None:
    script = Script(fail_at="VAEDecode" if fail == "failed" else None)
    script.hang_at = "KSampler" if fail == "interrupted" else None
    async with fake_comfyui(script=script) as fake, connected(fake.url) as backend:
        job = make_job()
        task = asyncio.create_task(backend.render(job, ignore))
        if fail == "interrupted":
            await until(lambda: fake.worker.running is not None)
            await until(lambda: fake.worker.interrupt(None))
        await asyncio.wait({task}, timeout=5)
        if fail == "file deleted":
            (fake.root / "output" / "artlab" / task.result().metadata["filename"]).unlink()
        else:
            assert isinstance(task.exception(), ArtlabError)
        script.fail_at = script.hang_at = None
        # What it reports comes from this run, although the history still has the other.
        assert await read(await backend.render(job, ignore))
        assert sorted(fake.executions.values()) == [1, 1]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("403", "COMFY_FORBIDDEN"),
        ("413", "COMFY_TOO_LARGE"),
        ("node_errors", "COMFY_REJECTED"),
        ("other_id", "COMFY_PROTOCOL"),
        ("garbage", "COMFY_PROTOCOL"),
    ],
)
async def test_a_refused_prompt_is_not_sent_again(answer: str, reason: str) -> None:
    script = Script(prompt_answers=deque([answer]), hang_at="KSampler")
    async with fake_comfyui(script=script) as fake:
        error = await failure(fake)
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", reason)
        assert len(fake.prompts) == 1
        await until(lambda: fake.worker.remaining == 0)


async def test_a_prompt_that_fails_validation_names_node_and_input_and_no_text() -> None:
    async with fake_comfyui() as fake:
        job = make_job()
        wrong = make_job(values={**job.values, "steps": 100_000, "negative_prompt": "Geheimnis"})
        error = await failure(fake, wrong)
    assert error.reason == "COMFY_REJECTED"
    assert error.metadata["node"] == "3"
    assert error.metadata["node_error"] == "value_bigger_than_max"
    assert error.metadata["input"] == "steps"
    assert "Geheimnis" not in str(error.metadata)
