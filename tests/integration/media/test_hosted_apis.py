"""What OpenAI, OpenRouter and Hugging Face are asked, and what of their answers is kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from services.kit.clock import ManualClock
from services.kit.errors import ArtlabError, FailedPrecondition
from services.media.backends.hosted.account import REFUSED_SECONDS
from services.media.backends.hosted.patience import Patience
from services.media.claim import fenced
from services.media.domain.output_config import Slot
from tests.fakes.hosted.huggingface import FakeHuggingFace
from tests.fakes.hosted.openai_api import FakeOpenAIImages, FakeOpenRouter
from tests.fakes.hosted.server import Good, Status
from tests.support.hosted import (
    CASES,
    HUGGINGFACE,
    OPENAI_IMAGES,
    OPENROUTER,
    PROMPT,
    REPLICATE,
    Case,
    Pauses,
    ignore,
    make_job,
)

WIDE = {"width": 1920, "height": 1080}
# 31 bits of the seed of a job.
SEED = (2**40 + 7) % 2**31


async def test_openai_is_asked_for_the_size_nearest_in_shape() -> None:
    quality = Slot("quality", "choice", "high", choices=("low", "high"))
    config = OPENAI_IMAGES.config()
    config = replace(config, slots={**config.slots, "quality": quality})
    async with FakeOpenAIImages() as fake, OPENAI_IMAGES.connected(fake) as backend:
        job = make_job(config, values=config.values(WIDE))
        product = await backend.render(job, ignore)
        again = make_job(config, upload=job.upload)
        await backend.render(again, ignore)
    assert fake.requests[0] == {
        "model": "gpt-image-1",
        "prompt": PROMPT,
        "n": 1,
        "size": "1536x1024",
        "quality": "high",
        "output_format": "png",
        "moderation": "auto",
    }
    assert fake.requests[1]["size"] == "1024x1024"
    assert product.metadata == {"size": "1536x1024", "quality": "high", "tokens": "100"}
    first, second = (headers["Idempotency-Key"] for headers in fake.headers)
    # The same for every attempt at one output, and nobody learns of which run.
    assert first == second
    assert str(job.upload.run) not in first


@pytest.mark.parametrize(
    "case", [OPENAI_IMAGES, OPENROUTER, HUGGINGFACE, REPLICATE], ids=lambda case: case.name
)
async def test_an_api_learns_the_prompt_and_nothing_about_us(case: Case) -> None:
    async with case.fake() as fake, case.connected(fake) as backend:
        job = make_job(case.config(), user_id="pseudonym-9")
        await backend.render(job, ignore)
    allowed = {
        "host", "accept", "accept-encoding", "connection", "user-agent", "content-length",
        "content-type", "authorization", "prefer", "cancel-after", "idempotency-key",
        "transfer-encoding",
    }  # fmt: skip
    assert {name.lower() for name in fake.headers[0]} <= allowed
    assert fake.headers[0]["User-Agent"] == "artlab"
    sent = json.dumps(fake.requests[0]) + str(dict(fake.headers[0]))
    for secret in ("pseudonym-9", str(job.upload.run), "dada"):
        assert secret not in sent


async def test_openrouter_is_asked_as_it_describes_and_its_cost_is_kept() -> None:
    config = OPENROUTER.config()
    async with FakeOpenRouter() as fake, OPENROUTER.connected(fake) as backend:
        product = await backend.render(make_job(config, values=WIDE), ignore)
    assert fake.requests[0] == {
        "model": "google/gemini-2.5-flash-image",
        "messages": [{"role": "user", "content": PROMPT}],
        "seed": SEED,
        "stream": False,
        "modalities": ["image", "text"],
        "usage": {"include": True},
        "image_config": {"aspect_ratio": "16:9"},
    }
    assert product.metadata == {
        "model_seed": str(SEED),
        "aspect_ratio": "16:9",
        "cost_amount": "0.0387",
        "cost_currency": "USD",
    }


@pytest.mark.parametrize("cost", [None, "free", True, -1, 1e9])
async def test_a_cost_that_is_none_is_not_kept(cost: object) -> None:
    async with FakeOpenRouter(cost=cost) as fake, OPENROUTER.connected(fake) as backend:
        product = await backend.render(make_job(OPENROUTER.config()), ignore)
    assert "cost_amount" not in product.metadata


async def test_an_error_inside_a_good_answer_is_one() -> None:
    async with FakeOpenRouter() as fake, OPENROUTER.connected(fake) as backend:
        fake.script(Status(200), Good())
        await backend.render(make_job(OPENROUTER.config()), ignore)
        assert len(fake.requests) == 2


async def test_hugging_face_is_waited_for_while_a_model_loads() -> None:
    pauses = Pauses()
    async with FakeHuggingFace() as fake:
        loading = {"error": "Model is currently loading", "estimated_time": 20.0}
        fake.script(Status(503, body=loading), Good())
        patience = Patience(sleep=pauses)
        async with HUGGINGFACE.connected(fake, patience=patience) as backend:
            steps = Slot("steps", "integer", 4, 1, 8)
            config = replace(HUGGINGFACE.config(), slots={"steps": steps})
            product = await backend.render(make_job(config), ignore)
    assert 20 <= pauses.seconds[0] <= 30
    assert fake.path == "/hf-inference/models/black-forest-labs/FLUX.1-schnell"
    parameters = {"num_inference_steps": 4, "seed": SEED}
    assert fake.requests[-1] == {"inputs": PROMPT, "parameters": parameters}
    assert product.metadata == {"model_seed": str(SEED)}


async def test_a_refusal_is_forgotten_after_a_while() -> None:
    clock = ManualClock()
    async with FakeOpenAIImages() as fake:
        fake.script(Status(401), Good())
        async with OPENAI_IMAGES.connected(fake, account={"clock": clock}) as backend:
            with pytest.raises(ArtlabError):
                await backend.render(make_job(OPENAI_IMAGES.config()), ignore)
            assert await backend.unavailable_reason(OPENAI_IMAGES.config()) is not None
            clock.advance(REFUSED_SECONDS)
            await backend.render(make_job(OPENAI_IMAGES.config()), ignore)


class Lost:
    """The standing of a job whose run another driver has got."""

    is_taken_over = True

    async def confirm(self) -> None:
        raise fenced()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_waits_for_its_turn_is_not_begun_and_not_paid_for_when_it_is_unwanted(
    case: Case,
) -> None:
    gate = asyncio.Event()
    async with case.fake() as fake, case.connected(fake, concurrency=1) as backend:
        fake.script(Good(gate))
        first = asyncio.create_task(backend.render(make_job(case.config()), ignore))
        await fake.begun.wait()
        waiting = make_job(case.config(), standing=Lost())
        second = asyncio.create_task(backend.render(waiting, ignore))
        gate.set()
        await first
        with pytest.raises(FailedPrecondition, match="FENCED"):
            await second
        assert fake.generated == 1
        # Its place is free again.
        await backend.render(make_job(case.config()), ignore)
