"""What may not leave is given to no renderer on somebody else's machine: connections are counted.

Through the real service beside a real recorder.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from services.kit.clock import SystemClock
from services.media.backends.code.backend import CodeBackend, CodeModel
from services.media.backends.hosted.backend import HostedBackend, Limits
from services.media.backends.hosted.patience import Patience
from services.media.comfy import ComfyBackend
from tests.fakes.hosted.server import KEY
from tests.fakes.media_backend import ScriptedBackend
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.media.test_code_backend import GOOD
from tests.integration.media.test_code_backend import config as code_config
from tests.integration.media.world import World, image_config, media_beside
from tests.support.elsewhere import Elsewhere
from tests.support.hosted import CASES, REPLICATE, Case, Pauses, account
from tests.support.rpc import refused


@asynccontextmanager
async def writing(recorder_target: str, base_url: str, **more: Any) -> AsyncIterator[World]:
    """A service whose only output is a sketch by the language model at this address."""
    limits = Limits(max_media_bytes=10**6, patience=Patience(sleep=Pauses()))
    backend = CodeBackend(
        account(base_url, KEY, key_optional=True, **more), limits, CodeModel("codestral")
    )
    try:
        configs = {"picture": code_config(name="picture")}
        async with media_beside(recorder_target, configs=configs, backend=backend) as world:
            yield world
    finally:
        await backend.close()


@asynccontextmanager
async def far(case: Case, elsewhere: Elsewhere) -> AsyncIterator[HostedBackend]:
    """The backend of an API on somebody else's machine."""
    limits = Limits(max_media_bytes=10**6, patience=Patience(sleep=Pauses()))
    backend = case.backend(account(elsewhere.far_url), limits)
    try:
        yield backend
    finally:
        await backend.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_no_hosted_renderer_is_called(recorder_target: str, case: Case) -> None:
    configs = {"picture": case.config(name="picture")}
    async with (
        Elsewhere() as elsewhere,
        far(case, elsewhere) as backend,
        media_beside(recorder_target, configs=configs, backend=backend) as world,
    ):
        async with refused("FAILED_PRECONDITION", "OUTPUT_REMOTE") as seen:
            await world.made(await world.upload(), local_only=True)
        assert "picture" in seen.message
        assert "fallback" in seen.metadata["advice"]
        assert elsewhere.connections == 0
        # The count counts: without the promise it is asked.
        with pytest.raises(grpc.aio.AioRpcError):
            await world.made(await world.upload())
        assert elsewhere.connections > 0


async def test_a_model_for_sketches_is_not_called_elsewhere_and_is_near_by(
    recorder_target: str,
) -> None:
    async with Elsewhere() as elsewhere:
        async with writing(recorder_target, elsewhere.far_url) as world:
            async with refused("FAILED_PRECONDITION", "OUTPUT_REMOTE"):
                await world.made(await world.upload(), local_only=True)
        assert elsewhere.connections == 0
    async with FakeOpenAI() as near:
        near.script(GOOD)
        async with writing(recorder_target, near.base_url) as world:
            assert await world.made(await world.upload(), local_only=True)
            assert len(near.requests) == 1
        async with writing(recorder_target, near.base_url, passes_on=True) as world:
            async with refused("FAILED_PRECONDITION", "OUTPUT_REMOTE"):
                await world.made(await world.upload(), local_only=True)
        assert len(near.requests) == 1


async def test_what_is_made_here_takes_over_and_the_record_says_why(recorder_target: str) -> None:
    spare = ScriptedBackend(name="spare")
    spare.go.set()
    configs = {
        "picture": REPLICATE.config(name="picture", fallback=("spare_picture",)),
        "spare_picture": image_config("spare_picture", backend="spare"),
    }
    async with (
        Elsewhere() as elsewhere,
        far(REPLICATE, elsewhere) as backend,
        media_beside(recorder_target, configs=configs, backend=backend, more=[spare]) as world,
    ):
        upload = await world.upload()
        entity = await world.made(upload, local_only=True)
        (used,) = entity.models_used
        assert used.backend == "spare"
        assert entity.metadata["fallback_from"] == "picture (OUTPUT_REMOTE)"
        # Who may send it out does not get into a job that may not, nor the other way round.
        async with refused("ALREADY_EXISTS", "JOB_DIFFERS"):
            await world.made(upload)
        # Where nothing is left, what failed at work is told before what was passed over.
        spare.failure = RuntimeError("broken")
        async with refused("INTERNAL", "MEDIA_BACKEND_ERROR"):
            await world.made(await world.upload(), local_only=True)
        spare.failure, spare.reason = None, "away"
        async with refused("FAILED_PRECONDITION", "OUTPUT_REMOTE") as seen:
            await world.made(await world.upload(), local_only=True)
        assert seen.metadata["tried"] == (
            "picture (OUTPUT_REMOTE), spare_picture (OUTPUT_NOT_AVAILABLE)"
        )
        assert elsewhere.connections == 0


async def test_what_may_have_been_made_elsewhere_is_not_asked_for(recorder_target: str) -> None:
    async with (
        Elsewhere() as elsewhere,
        far(REPLICATE, elsewhere) as backend,
        media_beside(
            recorder_target, configs={"picture": REPLICATE.config(name="picture")}, backend=backend
        ) as world,
    ):
        async with refused("NOT_FOUND", "LATE_RESULT_NOT_FOUND"):
            await world.made(await world.upload(), local_only=True, adopt_only=True)
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("urls", "remote"),
    [
        ((), False),
        (("http://127.0.0.1:8188", "http://10.0.0.7:8188"), False),
        (("http://127.0.0.1:8188", "https://comfy.example"), True),
    ],
)
async def test_a_comfyui_counts_as_elsewhere_when_one_of_its_machines_is(
    urls: tuple[str, ...], remote: bool
) -> None:
    backend = ComfyBackend(urls, max_media_bytes=1, clock=SystemClock(), allow_remote=True)
    assert backend.remote == remote
    await backend.close()
