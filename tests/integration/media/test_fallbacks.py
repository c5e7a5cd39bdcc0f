"""Fallbacks through the whole service: what is recorded, and what the catalogue says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from artlab.media.v1 import media_pb2
from services.media.backends.hosted.errors import Lost
from services.media.domain.output_config import Cost
from tests.fakes.hosted.server import Drop, Good, Status
from tests.fakes.media_backend import ScriptedBackend
from tests.integration.media.world import World, image_config, media_beside
from tests.support.hosted import REPLICATE
from tests.support.rpc import refused


@pytest.fixture
def spare() -> ScriptedBackend:
    """The backend that takes over."""
    backend = ScriptedBackend(name="spare")
    backend.go.set()
    return backend


@pytest.fixture
async def chain(recorder_target: str, spare: ScriptedBackend) -> AsyncIterator[World]:
    """A config whose backend is scripted, with one that takes over."""
    configs = {
        "picture": image_config(fallback=("spare_picture",), deadline_seconds=2.0),
        "spare_picture": image_config(
            "spare_picture", backend="spare", cost=Cost(Decimal("0.003"), "USD")
        ),
    }
    async with media_beside(recorder_target, configs=configs, more=[spare]) as world:
        world.backend.go.set()
        yield world


async def test_what_took_over_is_recorded_with_the_reason(
    chain: World, spare: ScriptedBackend
) -> None:
    chain.backend.failure = Lost("the API", "cut")
    entity = await chain.made(await chain.upload(), parameters={"width": "256"})
    assert await chain.bytes_of(entity) == spare.data
    (used,) = entity.models_used
    assert (used.backend, used.model) == ("spare", "model-of-the-test")
    told = dict(entity.metadata)
    assert told["fallback_from"] == "picture (BACKEND_LOST)"
    assert told["output_config"] == "spare_picture"
    (job,) = spare.jobs
    assert job.values["width"] == 256
    assert (told["cost_amount"], told["cost_currency"]) == ("0.003", "USD")


async def test_who_asks_again_gets_what_took_over(chain: World, spare: ScriptedBackend) -> None:
    chain.backend.reason = "no key"
    upload = await chain.upload()
    first = await chain.made(upload)
    chain.backend.reason = None
    assert (await chain.made(upload)).name == first.name
    assert len(spare.jobs) == 1
    assert chain.backend.jobs == []


async def test_the_time_is_that_of_the_config_that_was_asked_for(
    chain: World, spare: ScriptedBackend
) -> None:
    chain.backend.reason = "no key"
    spare.go.clear()
    upload = await chain.upload()
    async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
        await chain.made(upload)
    assert spare.cancelled.is_set()


async def test_the_catalogue_says_who_would_run(chain: World, spare: ScriptedBackend) -> None:
    async def offers() -> dict[str, media_pb2.OutputConfig]:
        answer = await chain.media.ListOutputConfigs(media_pb2.ListOutputConfigsRequest())
        return {config.name: config for config in answer.configs}

    found = (await offers())["picture"]
    assert (found.available, found.runs_as, found.reason) == (True, "", "")
    chain.backend.reason = "no key"
    found = (await offers())["picture"]
    assert (found.available, found.runs_as, found.reason) == (True, "spare_picture", "")
    spare.reason = "away"
    found = (await offers())["picture"]
    assert (found.available, found.runs_as, found.reason) == (False, "", "no key")


async def test_a_hosted_backend_is_recorded_like_any_other(recorder_target: str) -> None:
    async with REPLICATE.fake() as fake, REPLICATE.connected(fake) as backend:
        fake.script(Status(503), Drop(), Good())
        configs = {"picture": REPLICATE.config(name="picture")}
        async with media_beside(recorder_target, configs=configs, backend=backend) as world:
            entity = await world.made(await world.upload())
            assert await world.bytes_of(entity) == fake.picture
    assert fake.generated == 1
    (used,) = entity.models_used
    assert (used.backend, used.model) == ("replicate", "black-forest-labs/flux-schnell")
