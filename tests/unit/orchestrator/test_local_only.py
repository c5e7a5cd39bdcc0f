"""A recipe's promise that nothing leaves goes along with every question to safety and media."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.kit.errors import FailedPrecondition
from tests.support.pictures import picture_of
from tests.support.stage import DADA, REQUEST, stage_with


@pytest.mark.parametrize("promises", [True, False])
async def test_every_text_every_picture_and_every_job_is_asked_about_with_it(
    promises: bool,
) -> None:
    stage = stage_with(replace(DADA, local_only=promises, output_configs=("builtin_image",)))
    stage.safety.image_check_levels = frozenset(("youth",))
    stage.interception.translate = lambda text: f"in English: {text}"
    stage.media.into = stage.recorder
    stage.media.writes = (("image/png", picture_of(b"a flower")),)
    assert await stage.run(replace(REQUEST, mode="fast")) == "succeeded"
    purposes = {purpose for purpose, _ in stage.safety.asked}
    assert {"input", "translation", "media_prompt"} <= purposes
    assert len(stage.safety.looked_at) == 1
    assert set(stage.safety.kept_here) == {promises}
    assert [job.local_only for job in stage.media.jobs] == [promises]


async def test_an_output_that_is_made_elsewhere_is_not_available_and_the_others_are_made() -> None:
    recipe = replace(DADA, local_only=True, output_configs=("far", "builtin_image"))
    stage = stage_with(recipe)
    stage.media.offers += (replace(stage.media.offers[0], name="far"),)
    stage.media.failing["far"] = FailedPrecondition("OUTPUT_REMOTE", "far is made elsewhere")
    assert await stage.run() == "partial"
    state, error = stage.recorder.outputs[1]
    assert state == "not_available"
    assert error is not None
    assert error.reason == "OUTPUT_REMOTE"
    assert stage.recorder.outputs[2] == ("succeeded", None)
