"""What a run takes over from the one it goes on from, and what it refuses to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.kit.ids import RunId
from services.orchestrator.domain.lineage import Copied, Lineage, Rerun
from services.orchestrator.domain.parent import Parent, accepted_edits, lineage_of, merged
from services.orchestrator.domain.plan import Plan, RunRequest, make_plan
from services.orchestrator.domain.run import (
    OutputCatalogue,
    OutputOffer,
    Policy,
    Recipe,
    RecordedEntity,
)
from services.orchestrator.engine.definition import parse_definition
from tests.support.pipelines import FOUR_STAGES, PIPELINES

PARENT = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
CHILD = RunId("528e5af9-59b3-4551-b101-27e13dd6e43f")
RECIPE = Recipe("dada", 1, True, True, False, (), "image")
CATALOGUE = OutputCatalogue(
    {
        "one": OutputOffer("one", "image", available=True, parameters=("width",)),
        "two": OutputOffer("two", "image", available=True, image_slots=("init", "style")),
        "three": OutputOffer("three", "image", available=True, image_slots=("init",)),
    },
    {("image", "eco"): ("one",)},
)
POLICY = Policy("youth")
ASKED = RunRequest(
    PARENT,
    "dada",
    "Eine Blume",
    "anna",
    context="nur Dreiecke",
    output_configs=("one",),
    mode="fast",
    seed=7,
    language="de",
    parameters={"width": 512},
)
EVERYTHING = (
    "config_name",
    "context",
    "execution_mode",
    "input_images",
    "input_text",
    "language",
    "output_configs",
    "parameters",
    "pipeline",
    "safety_level",
    "seed",
)
BARE = RunRequest(CHILD, "", "", "anna")


def _plan(request: RunRequest = ASKED, recipe: Recipe = RECIPE) -> Plan:
    return make_plan(request, recipe, CATALOGUE, POLICY, PIPELINES)


def _recorded(*types: str, stages: dict[str, int] | None = None) -> list[RecordedEntity]:
    stage = {"safety": 1, "explanation": 1, **(stages or {})}
    return [
        RecordedEntity(one, "", sequence, stage=stage.get(one, 0))
        for sequence, one in enumerate(types, start=1)
    ]


WHOLE = _recorded(
    "input",
    "context",
    "translation",
    "safety",
    "interception",
    "safety_pre_output",
    "output_image",
)


def _rerun(from_stage: int, *own: str, text: str = "") -> Rerun:
    unset = tuple(name for name in EVERYTHING if name not in own)
    return Rerun(PARENT, from_stage, text, "ab" if text else "", unset)


def _copies(
    rerun: Rerun,
    entities: Sequence[RecordedEntity],
    request: RunRequest = BARE,
    plan: Plan | None = None,
) -> list[tuple[str, int]]:
    plan = plan or _plan()
    whole = merged(request, rerun, plan)
    edits = [one.sequence for one in accepted_edits(entities)]
    lineage = lineage_of(whole, rerun, Parent(plan, entities, edits))
    return [(one.type, one.sequence) for one in lineage.copies]


def test_what_is_not_said_is_the_parents() -> None:
    rerun = _rerun(2)
    whole = merged(BARE, rerun, _plan())
    assert whole == replace(ASKED, run_id=CHILD, level="youth", rerun=rerun)


def test_what_is_said_takes_the_place_of_the_parents() -> None:
    own = replace(BARE, seed=9, output_configs=("two", "two"), level="kids")
    whole = merged(own, _rerun(3, "seed", "output_configs", "safety_level"), _plan())
    assert (whole.seed, whole.output_configs, whole.level) == (9, ("two", "two"), "kids")
    assert (whole.input_text, whole.mode) == ("Eine Blume", "fast")


def test_the_text_is_no_part_of_the_plan() -> None:
    whole = merged(BARE, _rerun(3, text="Ein Baum"), _plan())
    assert whole.rerun is not None
    assert whole.rerun.text == ""
    assert whole.rerun.text_sha256


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"config_name": "bauhaus"}, "config_name"),
        ({"input_text": "Ein Baum"}, "input_text"),
        ({"context": "nur Kreise"}, "context"),
    ],
)
@pytest.mark.parametrize("stage", [3, 4])
def test_what_is_decided_before_the_stage_cannot_be_changed(
    change: dict[str, str], field: str, stage: int
) -> None:
    own = replace(BARE, **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument) as caught:
        merged(own, _rerun(stage, field), _plan())
    assert (caught.value.reason, caught.value.field) == ("CHANGE_TOO_LATE", field)
    merged(own, _rerun(2, field), _plan())


def test_the_same_said_again_is_no_change() -> None:
    own = replace(BARE, input_text="Eine Blume")
    assert merged(own, _rerun(4, "input_text"), _plan()).input_text == "Eine Blume"


def test_from_stage_2_on_what_stage_1_made_is_taken_over() -> None:
    assert _copies(_rerun(2), WHOLE) == [("input", 1), ("context", 2), ("translation", 3)]


@pytest.mark.parametrize("stage", [3, 4])
def test_from_stage_3_on_the_intercepted_text_is_as_well(stage: int) -> None:
    taken = [("input", 1), ("context", 2), ("translation", 3), ("interception", 5)]
    assert _copies(_rerun(stage), WHOLE) == taken


def test_a_text_of_ones_own_takes_its_place() -> None:
    taken = _copies(_rerun(3, text="Ein Baum"), WHOLE)
    assert "interception" not in dict(taken)


def test_another_input_is_translated_anew() -> None:
    own = replace(BARE, input_text="Ein Baum")
    assert _copies(_rerun(2, "input_text"), WHOLE, own) == [("context", 2)]


def test_all_passes_are_taken_over() -> None:
    recipe = replace(RECIPE, passes=2, translates_input=False)
    entities = [
        *_recorded("input", "context", "safety"),
        RecordedEntity("interception_pass", "", 4, pass_number=1),
        RecordedEntity("interception_pass", "", 5, pass_number=2),
        RecordedEntity("interception", "", 6),
    ]
    plan = _plan(recipe=recipe)
    taken = _copies(_rerun(3), entities, plan=plan)
    assert taken[2:] == [("interception_pass", 4), ("interception_pass", 5), ("interception", 6)]


def test_what_the_person_changed_is_what_the_outputs_were_made_of() -> None:
    entities = [
        *WHOLE[:5],
        RecordedEntity("question", "", 6),
        RecordedEntity("decision", "", 7, metadata={"question": "6", "decision": "edit"}),
        RecordedEntity("safety", "", 8, stage=2, metadata={"question": "6"}),
    ]
    assert ("interception", 7) in _copies(_rerun(3), entities)
    refused = RecordedEntity("explanation", "", 9, stage=2, metadata={"question": "6"})
    assert ("interception", 5) in _copies(_rerun(3), [*entities, refused])


INCOMPLETE = [
    (2, [], "no input"),
    (2, WHOLE[:3], "not ended stage 1"),
    (2, _recorded("input", "context", "safety"), "no translation"),
    (2, _recorded("input", "context", "translation", "safety", "explanation"), "not come past"),
    (3, WHOLE[:4], "no interception"),
    (4, WHOLE[:5], "no output that came to stage 4"),
    (3, [*WHOLE[:4], replace(WHOLE[4], erased=True)], "no interception"),
    (2, [replace(WHOLE[0], erased=True), *WHOLE[1:]], "no input"),
]


@pytest.mark.parametrize(("stage", "entities", "lacking"), INCOMPLETE)
def test_a_parent_that_did_not_come_as_far_says_what_it_lacks(
    stage: int, entities: list[RecordedEntity], lacking: str
) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        _copies(_rerun(stage), entities)
    assert caught.value.reason == "PARENT_INCOMPLETE"
    assert lacking in caught.value.message


def _with_images(count: int) -> tuple[Plan, list[RecordedEntity]]:
    asked = replace(ASKED, output_configs=("two",), input_images=count, parameters={})
    images = [
        RecordedEntity("input_image", "", 10 + index, metadata={"index": str(index)})
        for index in range(1, count + 1)
    ]
    return _plan(asked), [*WHOLE, *images]


def _child(plan: Plan, entities: list[RecordedEntity], own: RunRequest, rerun: Rerun) -> Plan:
    whole = merged(own, rerun, plan)
    lineage = lineage_of(whole, rerun, Parent(plan, entities))
    return make_plan(whole, RECIPE, CATALOGUE, POLICY, PIPELINES, lineage)


def test_pictures_are_taken_over_as_far_as_the_outputs_take_them() -> None:
    plan, entities = _with_images(2)
    child = _child(plan, entities, BARE, _rerun(2))
    assert child.lineage is not None
    assert [one.index for one in child.lineage.images] == [1, 2]
    own = replace(BARE, output_configs=("three",))
    child = _child(plan, entities, own, _rerun(3, "output_configs"))
    assert child.lineage is not None
    assert [one.index for one in child.lineage.images] == [1]
    assert child.request.input_images == 1


def test_outputs_that_take_more_pictures_than_there_are_ask_for_them() -> None:
    plan = _plan()
    own = replace(BARE, output_configs=("two",))
    with pytest.raises(InvalidArgument) as caught:
        _child(plan, WHOLE, own, _rerun(3, "output_configs"))
    assert caught.value.reason == "INPUT_IMAGES_REQUIRED"


def test_pictures_that_are_brought_anew_are_not_taken_over() -> None:
    plan, entities = _with_images(2)
    own = replace(BARE, input_images=2)
    child = _child(plan, entities, own, _rerun(2, "input_images"))
    assert child.lineage is not None
    assert child.lineage.images == ()
    assert child.request.input_images == 2


def test_values_the_new_outputs_have_no_slot_for_are_left_out() -> None:
    own = replace(BARE, output_configs=("three",), input_images=1)
    child = _child(_plan(), WHOLE, own, _rerun(3, "output_configs", "input_images"))
    assert child.request.parameters == {}
    said = replace(own, parameters={"width": 512})
    with pytest.raises(InvalidArgument, match="UNKNOWN_PARAMETER"):
        _child(_plan(), WHOLE, said, _rerun(3, "output_configs", "input_images", "parameters"))


def test_a_server_that_became_stricter_is_as_strict_with_what_goes_on() -> None:
    lax = make_plan(replace(ASKED, level="adult"), RECIPE, CATALOGUE, Policy("adult"), PIPELINES)
    assert _child(lax, WHOLE, BARE, _rerun(2)).level == "youth"
    assert _child(_plan(replace(ASKED, level="kids")), WHOLE, BARE, _rerun(2)).level == "kids"


def test_a_recipe_that_does_not_translate_takes_no_translation_over() -> None:
    rerun = _rerun(2, "config_name")
    whole = merged(replace(BARE, config_name="bauhaus"), rerun, _plan())
    lineage = lineage_of(whole, rerun, Parent(_plan(), WHOLE))
    bauhaus = replace(RECIPE, name="bauhaus", translates_input=False)
    child = make_plan(whole, bauhaus, CATALOGUE, POLICY, PIPELINES, lineage)
    assert child.lineage is not None
    assert [one.type for one in child.lineage.copies] == ["input", "context"]


def test_a_pipeline_that_would_not_find_what_is_taken_over_is_refused() -> None:
    document = FOUR_STAGES.document.replace('"id":"interception"', '"id":"rewrite"')
    document = document.replace("steps.interception.", "steps.rewrite.")
    document = document.replace('_step":"interception"', '_step":"rewrite"')
    renamed = parse_definition(json.loads(document), "renamed")
    rerun = _rerun(3)
    whole = merged(BARE, rerun, _plan())
    with pytest.raises(InvalidArgument, match="RERUN_NOT_POSSIBLE"):
        make_plan(whole, RECIPE, CATALOGUE, POLICY, {"four_stages": renamed}, None)


def test_a_lineage_says_what_is_a_copy_of_what() -> None:
    copies = (Copied(1, "input"), Copied(4, "interception_pass", 2), Copied(9, "input_image", 0, 1))
    lineage = Lineage(PARENT, 3, copies)
    assert lineage.parent_sequence == 9
    assert lineage.source("input") == f"runs/{PARENT}/entities/1"
    assert lineage.source("interception_pass", 2) == f"runs/{PARENT}/entities/4"
    assert lineage.source("input_image", index=1) == f"runs/{PARENT}/entities/9"
    assert lineage.source("translation") == ""
    assert [one.upload_id for one in copies] == ["input", "interception-pass-2", "input-image-1"]
