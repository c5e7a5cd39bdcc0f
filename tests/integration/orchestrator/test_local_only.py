"""A run whose recipe keeps its texts and pictures here, beside real services of safety and media.

The judges and the renderer are on somebody else's machine, where connections are counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.kit.errors import FailedPrecondition
from services.kit.ids import RunId
from services.orchestrator.clients.media import MediaClient
from services.orchestrator.clients.safety import SafetyClient
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.ports import MediaJob
from services.safety.domain.levels import Level
from services.safety.domain.policy import OnFailure
from services.safety.judge.model_client import ModelServer
from services.safety.judge.vision import VisionJudge
from tests.fakes.media_backend import ScriptedBackend
from tests.integration.media.world import create_run, image_config, media_beside, recorder_at
from tests.integration.safety.text_server import connected, with_failure
from tests.support.driven_run import DADA, Driven, driven
from tests.support.elsewhere import Elsewhere
from tests.unit.safety.images import MagentaJudge
from tests.unit.safety.support import safety

STAYS = replace(DADA, local_only=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.safety.judge.model_client.BACKOFF_SECONDS", 0.005)


@asynccontextmanager
async def judged_elsewhere(
    path: Path, elsewhere: Elsewhere, on_failure: OnFailure, *, pictures: bool, **fields: Any
) -> AsyncIterator[Driven]:
    """A run beside a service whose judge of texts, and if so of pictures, is elsewhere."""
    server = ModelServer(elsewhere.far_url, "guard")
    vision = [VisionJudge(server, safety().images.categories)] if pictures else []
    policy = with_failure(on_failure)
    async with (
        connected(server, MagentaJudge(), *vision, policy=policy, level=Level.YOUTH) as channel,
        driven(path, safety=SafetyClient(channel), **fields) as run,
    ):
        yield run


async def test_it_is_judged_here_alone_where_the_policy_says_that_this_is_enough(
    tmp_path: Path,
) -> None:
    async with (
        Elsewhere() as elsewhere,
        judged_elsewhere(
            tmp_path, elsewhere, OnFailure.BUILTIN, pictures=False, recipe=STAYS
        ) as run,
    ):
        await run.drive()
        folder = await run.folder()
        assert (folder["state"], folder["error"]) == ("succeeded", None)
        assert elsewhere.connections == 0
    evidence = [told for told in folder["entities"] if told[0].startswith("safety")]
    assert len(evidence) >= 3
    # Nobody who did not judge is named.
    assert "builtin" in str(evidence)
    assert "guard" not in str(evidence)


async def test_it_ends_before_any_model_where_every_judge_is_wanted(tmp_path: Path) -> None:
    async with (
        Elsewhere() as elsewhere,
        judged_elsewhere(tmp_path, elsewhere, OnFailure.ERROR, pictures=False, recipe=STAYS) as run,
    ):
        await run.drive()
        folder = await run.folder()
        assert folder["state"] == "failed"
        assert folder["error"].reason == "SAFETY_JUDGE_REMOTE"
        assert run.interception.asked == []
        assert elsewhere.connections == 0


@pytest.mark.parametrize("recipe", [STAYS, DADA], ids=["stays", "may leave"])
async def test_no_picture_of_it_is_shown_elsewhere(tmp_path: Path, recipe: Any) -> None:
    async with (
        Elsewhere() as elsewhere,
        judged_elsewhere(
            tmp_path, elsewhere, OnFailure.BUILTIN, pictures=True, recipe=recipe
        ) as run,
    ):
        await run.drive()
        ((_, state, error),) = (await run.folder())["outputs"]
        assert state == "failed"
        if recipe.local_only:
            assert error.reason == "SAFETY_JUDGE_REMOTE"
            assert elsewhere.connections == 0
        else:
            # The count counts.
            assert error.reason == "IMAGE_JUDGE_UNAVAILABLE"
            assert elsewhere.connections > 0


async def test_the_promise_reaches_the_renderers(tmp_path: Path) -> None:
    far = ScriptedBackend(name="far", remote=True)
    configs = {"picture": image_config(backend="far")}
    async with (
        recorder_at(tmp_path) as target,
        media_beside(target, configs=configs, backend=far) as world,
    ):
        name = await create_run(world.recorder)
        output = PlannedOutput(1, 1, "picture", "image", 7)
        job = MediaJob(RunId.parse_name(name), output, "Eine Blume", local_only=True)
        with pytest.raises(FailedPrecondition) as caught:
            async for _ in MediaClient(world.channel).generate(job):
                pass
        assert caught.value.reason == "OUTPUT_REMOTE"
    assert far.jobs == []
