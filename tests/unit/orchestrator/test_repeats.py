"""A request under an id that is known is the same request, or it is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.kit.errors import AlreadyExists
from services.kit.ids import RunId
from services.orchestrator.domain.lineage import Rerun
from services.orchestrator.domain.parent import merged
from services.orchestrator.domain.plan import RunRequest, make_plan
from services.orchestrator.domain.repeats import options_sha256, require_same_request
from services.orchestrator.domain.run import (
    OutputCatalogue,
    OutputOffer,
    Policy,
    Recipe,
    RecordedEntity,
    RecordedRun,
)
from tests.support.pipelines import PIPELINES

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
PARENT = RunId("528e5af9-59b3-4551-b101-27e13dd6e43f")
PLAIN = RunRequest(RUN, "dada", "Eine Blume", "anna", parameters={"width": 512})
UNSET = ("config_name", "execution_mode", "input_images", "input_text", "parameters", "pipeline")
GOES_ON = RunRequest(
    RUN, "", "", "anna", rerun=Rerun(PARENT, 3, text_sha256="ab" * 32, unset=UNSET)
)


def _recorded(request: RunRequest, options: str) -> RecordedRun:
    digest = hashlib.sha256(request.input_text.encode()).hexdigest()
    rerun = request.rerun
    return RecordedRun(
        run_id=RUN,
        state="running",
        config_name=request.config_name,
        user_id=request.user_id,
        level="youth",
        mode=request.mode,
        seed=7,
        output_configs=("one",),
        entities=(RecordedEntity("input", digest, 1, metadata={"options_sha256": options}),),
        created=datetime(2026, 3, 1, tzinfo=UTC),
        expected_entities=("input",),
        parent=rerun.parent if rerun else None,
    )


RUNS = {
    "plain": (PLAIN, _recorded(PLAIN, options_sha256(PLAIN))),
    "goes on": (
        GOES_ON,
        # What the parent decides is in the record, and not in the request.
        _recorded(
            replace(GOES_ON, config_name="dada", input_text="Eine Blume", mode="fast"),
            options_sha256(GOES_ON),
        ),
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_same_request_is_the_same_run(name: str) -> None:
    require_same_request(*RUNS[name])


CHANGES = [
    {"pipeline": "asking"},
    {"pause_before_render": True},
    {"allow_reuse": True},
    {"user_id": "ben"},
    {"seed": 8},
    {"level": "kids"},
    {"output_configs": ("two",)},
    {"rerun": Rerun(RUN, 3, text_sha256="ab" * 32, unset=UNSET)},
    {"rerun": Rerun(PARENT, 4, text_sha256="ab" * 32, unset=UNSET)},
    {"rerun": Rerun(PARENT, 3, unset=UNSET)},
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", RUNS)
def test_another_request_under_the_same_id_is_refused(name: str, change: dict[str, object]) -> None:
    request, run = RUNS[name]
    # Set means: not left to the parent any more.
    rerun = request.rerun
    if rerun is not None and "rerun" not in change:
        left = tuple(one for one in rerun.unset if one not in change)
        request = replace(request, rerun=replace(rerun, unset=left))
    with pytest.raises(AlreadyExists, match="REQUEST_ID_REUSED"):
        require_same_request(replace(request, **change), run)  # type: ignore[arg-type]


def test_nothing_that_was_asked_for_is_no_digest() -> None:
    assert options_sha256(replace(PLAIN, parameters={})) == ""


def test_what_was_asked_for_is_the_same_before_and_after_it_is_filled_in() -> None:
    recipe = Recipe("dada", 1, True, True, False, (), "image")
    offer = OutputOffer("one", "image", available=True, parameters=("width",))
    catalogue = OutputCatalogue({"one": offer}, {("image", "eco"): ("one",)})
    asked = replace(PLAIN, run_id=PARENT)
    parent = make_plan(asked, recipe, catalogue, Policy("youth"), PIPELINES)
    assert GOES_ON.rerun is not None
    assert options_sha256(merged(GOES_ON, GOES_ON.rerun, parent)) == options_sha256(GOES_ON)
