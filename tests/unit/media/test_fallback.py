"""Who takes over when a config cannot, and what is told of it."""

from __future__ import annotations

import asyncio
import uuid
from decimal import Decimal
from typing import Any

import pytest

from services.kit.errors import (
    ArtlabError,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import UploadName
from services.media.backends.hosted.errors import (
    Lost,
    NotTaken,
    blocked,
    busy,
    failed,
    model_missing,
    no_output,
    not_authorized,
    protocol_error,
    rejected,
    silent,
    too_large,
)
from services.media.domain.output_config import Cost, OutputConfig, Slot, Value
from services.media.fallback import FallbackChains
from services.media.ports import RenderJob, RenderProgress
from tests.fakes.media_backend import ScriptedBackend

GIVEN: dict[str, Value] = {"width": 640, "steps": 30, "style": "wild"}


def config(name: str, *fallback: str, **changes: Any) -> OutputConfig:
    slots = {
        "width": Slot("width", "integer", 1024, 64, 2048, multiple_of=16),
        "steps": Slot("steps", "integer", 25, 1, 60),
        "style": Slot("style", "choice", "calm", choices=("calm", "wild")),
    }
    values: dict[str, Any] = {
        "name": name,
        "kind": "image",
        "backend": name,
        "title": {},
        "slots": slots,
        "fallback": fallback,
    }
    return OutputConfig(**(values | changes))


class World:
    """Three configs, each with a scripted backend of its own."""

    def __init__(self, *configs: OutputConfig) -> None:
        self.configs = {one.name: one for one in configs}
        self.backends = {name: ScriptedBackend(name=name) for name in self.configs}
        for backend in self.backends.values():
            backend.go.set()
        self.chains = FallbackChains(self.configs, self.backends)
        self.seen: list[RenderProgress] = []

    def job(self, name: str) -> RenderJob:
        chosen = self.configs[name]
        return RenderJob(
            upload=UploadName.parse(f"runs/{uuid.uuid4()}/uploads/output-1"),
            output_index=1,
            config=chosen,
            prompt="Eine Blume",
            seed=7,
            recipe="dada",
            values=chosen.values(GIVEN),
            user_id="somebody",
        )

    async def render(self, name: str = "first") -> Any:
        return await self.chains.render(self.job(name), GIVEN, self.seen.append)


@pytest.fixture
def world() -> World:
    return World(config("first", "second", "third"), config("second"), config("third"))


async def test_who_can_is_not_replaced(world: World) -> None:
    rendered = await world.render()
    assert rendered.product.backend == "first"
    assert rendered.job.values == {"width": 640, "steps": 30, "style": "wild"}
    assert "fallback_from" not in rendered.product.metadata
    assert world.backends["second"].jobs == []


HELPED = [
    NotTaken("it", "is away"),
    Lost("it", "cut"),
    silent("it"),
    busy("it"),
    protocol_error("it", "is garbage"),
    not_authorized("it", "KEY"),
    model_missing("it"),
    Unavailable("COMFY_UNAVAILABLE", "away"),
    Unavailable("COMFY_LOST", "lost"),
    ResourceExhausted("COMFY_OOM", "memory"),
    FailedPrecondition("COMFY_MODEL_MISSING", "no model"),
]
NOT_HELPED = [
    blocked("it"),
    rejected("it", 400),
    no_output("it", "gave none"),
    failed("it", "failed"),
    too_large(1),
    Cancelled("COMFY_INTERRUPTED", "stopped"),
    InvalidArgument("INVALID_PARAMETER", "wrong"),
    FailedPrecondition("COMFY_EXECUTION", "a node failed"),
    DeadlineExceeded("DEADLINE", "over"),
]


@pytest.mark.parametrize("failure", HELPED, ids=lambda error: error.reason)
async def test_another_takes_over_where_it_can_help(world: World, failure: ArtlabError) -> None:
    world.backends["first"].failure = failure
    rendered = await world.render()
    assert rendered.product.backend == "second"
    assert rendered.product.model == "model-of-the-test"
    assert rendered.product.metadata["fallback_from"] == f"first ({failure.reason})"
    assert rendered.job.config.name == "second"


@pytest.mark.parametrize("failure", NOT_HELPED, ids=lambda error: error.reason)
async def test_nobody_takes_over_what_is_wrong_everywhere(
    world: World, failure: ArtlabError
) -> None:
    world.backends["first"].failure = failure
    with pytest.raises(ArtlabError) as caught:
        await world.render()
    assert caught.value is failure
    assert world.backends["second"].jobs == []


async def test_a_defect_of_a_backend_is_no_reason_to_go_on(world: World) -> None:
    world.backends["first"].failure = KeyError("x")
    with pytest.raises(KeyError):
        await world.render()
    assert world.backends["second"].jobs == []


async def test_the_chain_is_tried_in_order_and_everything_passed_over_is_told(
    world: World,
) -> None:
    world.backends["first"].reason = "no key"
    world.backends["second"].failure = busy("it")
    rendered = await world.render()
    assert rendered.product.backend == "third"
    told = rendered.product.metadata["fallback_from"]
    assert told == "first (OUTPUT_NOT_AVAILABLE), second (BACKEND_BUSY)"
    assert world.backends["first"].jobs == []
    fractions = [progress.fraction for progress in world.seen]
    assert world.seen[-1].phase == "executing"
    assert min(fractions) >= 0


async def test_when_nobody_can_the_first_failure_at_work_is_the_answer(world: World) -> None:
    world.backends["first"].reason = "no key"
    world.backends["second"].failure = busy("it", 12)
    world.backends["third"].failure = NotTaken("it", "is away")
    with pytest.raises(ResourceExhausted) as caught:
        await world.render()
    assert caught.value.retry_after_seconds == 12
    assert caught.value.metadata["tried"] == (
        "first (OUTPUT_NOT_AVAILABLE), second (BACKEND_BUSY), third (BACKEND_UNAVAILABLE)"
    )


async def test_when_nobody_is_available_the_reason_is_that_of_the_one_asked_for(
    world: World,
) -> None:
    for name, backend in world.backends.items():
        backend.reason = f"{name} lacks a key"
    with pytest.raises(FailedPrecondition) as caught:
        await world.render()
    assert (caught.value.reason, caught.value.message) == (
        "OUTPUT_NOT_AVAILABLE",
        "first lacks a key",
    )


async def test_what_was_asked_for_is_carried_over_where_the_other_has_a_place_for_it() -> None:
    other = {
        # 640 is no multiple of 256, 30 is too many, and there is no style.
        "width": Slot("width", "integer", 512, 64, 1024, multiple_of=256),
        "steps": Slot("steps", "integer", 4, 1, 30),
        "cfg": Slot("cfg", "number", 1.0, 0, 2),
    }
    world = World(config("first", "second"), config("second", slots=other))
    world.backends["first"].reason = "no key"
    rendered = await world.render()
    assert rendered.job.values == {"width": 512, "steps": 30, "cfg": 1.0}
    (job,) = world.backends["second"].jobs
    assert (job.prompt, job.seed, job.user_id, job.recipe) == ("Eine Blume", 7, "somebody", "dada")


async def test_defaults_of_the_first_are_not_carried_over() -> None:
    other = {"steps": Slot("steps", "integer", 4, 1, 60)}
    world = World(config("first", "second"), config("second", slots=other))
    world.backends["first"].reason = "no key"
    rendered = await world.chains.render(world.job("first"), {}, world.seen.append)
    assert rendered.job.values == {"steps": 4}


async def test_who_takes_over_has_a_name_of_its_own_at_the_backend(world: World) -> None:
    job = world.job("first")
    world.backends["first"].failure = world.backends["second"].failure = busy("it")
    for _ in range(2):
        await world.chains.render(job, GIVEN, world.seen.append)
    uploads = [world.backends[name].jobs[0].upload for name in ("first", "second", "third")]
    assert uploads[0] == job.upload
    assert len(set(uploads)) == 3
    assert {upload.run for upload in uploads} == {job.upload.run}
    # Asked for again it is known again.
    assert world.backends["third"].jobs[0].upload == world.backends["third"].jobs[1].upload


async def test_fallbacks_have_fallbacks() -> None:
    world = World(config("first", "second"), config("second", "third"), config("third"))
    world.backends["first"].reason = world.backends["second"].reason = "no key"
    assert (await world.render()).product.backend == "third"


async def test_one_deadline_holds_for_the_whole_chain(world: World) -> None:
    world.backends["first"].failure = busy("it")
    world.backends["second"].go.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await world.render()
    assert world.backends["second"].cancelled.is_set()
    assert world.backends["third"].jobs == []


async def test_a_config_is_available_when_any_of_its_chain_is_and_says_which(world: World) -> None:
    first = world.configs["first"]
    assert await world.chains.able(first) == (first, None)
    world.backends["first"].reason = "no key"
    assert await world.chains.able(first) == (world.configs["second"], "no key")
    for backend in world.backends.values():
        backend.reason = backend.reason or "away"
    assert await world.chains.able(first) == (None, "no key")


async def test_what_it_costs_is_told_by_the_config_that_was_used() -> None:
    world = World(
        config("first", "second", cost=Cost(Decimal("0.17"), "USD")),
        config("second", cost=Cost(Decimal("0.003"), "EUR")),
    )
    product = (await world.render()).product
    assert (product.metadata["cost_amount"], product.metadata["cost_currency"]) == ("0.17", "USD")
    world.backends["first"].reason = "no key"
    product = (await world.render()).product
    assert (product.metadata["cost_amount"], product.metadata["cost_currency"]) == ("0.003", "EUR")


async def test_a_config_of_an_unknown_backend_is_not_available() -> None:
    world = World(config("first", backend="nothing"))
    assert await world.chains.able(world.configs["first"]) == (
        None,
        "there is no backend nothing here",
    )
