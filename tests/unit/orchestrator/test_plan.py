"""The plan finds every defect of a request before anything runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from services.kit.errors import (
    ArtlabError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from services.kit.ids import RunId
from services.orchestrator.domain.parameter import ParameterSpec
from services.orchestrator.domain.plan import MAX_SEED, Plan, RunRequest, output_seed
from services.orchestrator.domain.plan import make_plan as make_plan_of
from services.orchestrator.domain.run import (
    LEVELS,
    Level,
    OutputCatalogue,
    OutputOffer,
    Policy,
    Recipe,
)
from services.orchestrator.domain.slots import Value
from services.orchestrator.engine.definition import parse_definition
from tests.support.pipelines import PIPELINES, shipped

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
DADA = Recipe(
    name="dada",
    passes=1,
    translates_input=True,
    accepts_context=False,
    requires_context=False,
    output_configs=(),
    default_output="image",
)
MORPH = OutputOffer("morph", "image", available=True, image_slots=("init", "style"))
SIZED = OutputOffer(
    "sized",
    "video",
    available=True,
    image_slots=("init",),
    text_slots=("negative_prompt",),
    parameters=("negative_prompt", "width"),
    parameter_specs={"width": ParameterSpec("width", "integer", 64, 2048, multiple_of=16)},
)
CATALOGUE = OutputCatalogue(
    offers={
        "morph": MORPH,
        "sized": SIZED,
        "sd35_large": OutputOffer("sd35_large", "image", available=False),
        "builtin_image": OutputOffer("builtin_image", "image", available=True),
        "builtin_text": OutputOffer("builtin_text", "text", available=True),
    },
    defaults={
        ("image", "eco"): ("sd35_large", "builtin_image"),
        ("text", "eco"): ("builtin_text",),
    },
)
YOUTH = Policy("youth")
REQUEST = RunRequest(RUN, "dada", "Eine Blume", "anonymous")


def make_plan(
    request: RunRequest, recipe: Recipe, catalogue: OutputCatalogue, policy: Policy
) -> Plan:
    """The plan of a request, with the pipelines that are shipped."""
    return make_plan_of(request, recipe, catalogue, policy, PIPELINES)


def test_expected_entities_follow_the_stages() -> None:
    plan = make_plan(REQUEST, DADA, CATALOGUE, YOUTH)
    assert plan.expected_entities == (
        "input",
        "translation",
        "safety",
        "interception",
        "safety_pre_output",
        "output_image",
    )


def test_expected_entities_count_context_passes_and_every_output() -> None:
    recipe = replace(DADA, passes=3, accepts_context=True, translates_input=False)
    request = replace(REQUEST, context="nur Dreiecke", output_configs=("builtin_image",) * 2)
    plan = make_plan(request, recipe, CATALOGUE, YOUTH)
    assert plan.expected_entities == (
        "input",
        "context",
        "safety",
        *["interception_pass"] * 3,
        "interception",
        *["safety_pre_output", "output_image"] * 2,
    )


def test_outputs_are_numbered_over_the_run_and_per_config() -> None:
    names = ("builtin_image", "builtin_text", "builtin_image")
    plan = make_plan(replace(REQUEST, output_configs=names), DADA, CATALOGUE, YOUTH)
    numbers = [(o.index, o.config, o.occurrence) for o in plan.outputs]
    assert numbers == [(1, names[0], 1), (2, names[1], 1), (3, names[2], 2)]


def test_repetitions_differ_in_seed_and_compared_configs_share_it() -> None:
    names = ("builtin_image", "sd35_large", "builtin_image")
    request = replace(REQUEST, output_configs=names, seed=7)
    first, second, third = make_plan(request, DADA, CATALOGUE, YOUTH).outputs
    assert (first.seed, second.seed, third.seed) == (7, 7, 8)
    assert output_seed(MAX_SEED, 2) == 0


def test_the_default_output_is_the_first_available_of_its_list() -> None:
    plan = make_plan(REQUEST, DADA, CATALOGUE, YOUTH)
    assert [o.config for o in plan.outputs] == ["builtin_image"]


def test_the_recipes_outputs_come_before_the_default_and_the_requests_before_both() -> None:
    recipe = replace(DADA, output_configs=("sd35_large", "builtin_image"))
    plan = make_plan(REQUEST, recipe, CATALOGUE, YOUTH)
    assert [o.config for o in plan.outputs] == ["sd35_large", "builtin_image"]
    chosen = replace(REQUEST, output_configs=("builtin_text",))
    assert [o.config for o in make_plan(chosen, recipe, CATALOGUE, YOUTH).outputs] == [
        "builtin_text"
    ]


def test_a_recipe_without_a_medium_makes_its_text() -> None:
    plan = make_plan(REQUEST, replace(DADA, default_output=None), CATALOGUE, YOUTH)
    assert [o.kind for o in plan.outputs] == ["text"]


def test_the_drawn_seed_is_the_same_for_the_same_run() -> None:
    seeds = {make_plan(REQUEST, DADA, CATALOGUE, YOUTH).seed for _ in range(3)}
    assert len(seeds) == 1
    other = replace(REQUEST, run_id=RunId("528e5af9-59b3-4551-b101-27e13dd6e43f"))
    assert make_plan(other, DADA, CATALOGUE, YOUTH).seed not in seeds
    assert 0 <= seeds.pop() <= MAX_SEED


@pytest.mark.parametrize("server", LEVELS)
@pytest.mark.parametrize("asked", LEVELS)
def test_a_request_may_only_be_stricter(asked: Level, server: Level) -> None:
    request = replace(REQUEST, level=asked)
    if LEVELS.index(asked) <= LEVELS.index(server):
        assert make_plan(request, DADA, CATALOGUE, Policy(server)).level == asked
    else:
        with pytest.raises(PermissionDenied) as caught:
            make_plan(request, DADA, CATALOGUE, Policy(server))
        assert caught.value.reason == "SAFETY_LEVEL_TOO_LAX"
        assert caught.value.field == "safety_level"


def test_pictures_and_looks_are_expected_where_they_are_asked_for() -> None:
    request = replace(REQUEST, output_configs=("morph", "builtin_text"), input_images=2)
    policy = Policy("adult", frozenset({"kids", "youth"}))
    plan = make_plan(replace(request, level="youth"), DADA, CATALOGUE, policy)
    assert plan.expected_entities == (
        "input",
        *["safety_image", "input_image"] * 2,
        "translation",
        "safety",
        "interception",
        *["safety_pre_output", "output_image", "safety_image"],
        *["safety_pre_output", "output_text"],
    )
    assert plan.checks_images
    unchecked = make_plan(request, DADA, CATALOGUE, policy)
    assert not unchecked.checks_images
    assert "safety_image" not in unchecked.expected_entities
    assert unchecked.expected_entities.count("input_image") == 2


def test_each_output_gets_what_it_has_slots_for() -> None:
    parameters: dict[str, Value] = {"width": 512, "negative_prompt": "blurry"}
    request = replace(
        REQUEST, output_configs=("sized", "morph"), input_images=2, parameters=parameters
    )
    plan = make_plan(request, DADA, CATALOGUE, YOUTH)
    assert [output.parameters for output in plan.outputs] == [parameters, {}]
    assert [output.image_slots for output in plan.outputs] == [("init",), ("init", "style")]
    assert plan.slot_texts == ("blurry",)


DEFECTS: list[tuple[RunRequest, Recipe, type[ArtlabError], str, str | None]] = [
    (
        replace(REQUEST, context="my rules"),
        DADA,
        InvalidArgument,
        "CONTEXT_NOT_ACCEPTED",
        "context",
    ),
    (
        REQUEST,
        replace(DADA, accepts_context=True, requires_context=True),
        InvalidArgument,
        "CONTEXT_REQUIRED",
        "context",
    ),
    (
        replace(REQUEST, output_configs=("builtin_image", "nonsense")),
        DADA,
        NotFound,
        "CONFIG_NOT_FOUND",
        "output_configs[1]",
    ),
    *[
        (
            replace(REQUEST, output_configs=("morph", "sized"), input_images=count),
            DADA,
            InvalidArgument,
            "INPUT_IMAGES_REQUIRED",
            "input_images",
        )
        for count in (0, 1, 3)
    ],
    (
        replace(REQUEST, input_images=1),
        DADA,
        InvalidArgument,
        "INPUT_IMAGES_REQUIRED",
        "input_images",
    ),
    (
        replace(REQUEST, parameters={"width": 512}),
        DADA,
        InvalidArgument,
        "UNKNOWN_PARAMETER",
        "parameters.width",
    ),
    (
        replace(
            REQUEST,
            output_configs=("sized",),
            input_images=1,
            parameters={"negative_prompt": 5},
        ),
        DADA,
        InvalidArgument,
        "INVALID_PARAMETER",
        "parameters.negative_prompt",
    ),
    (
        replace(REQUEST, output_configs=("sized",), input_images=1, parameters={"width": 65}),
        DADA,
        InvalidArgument,
        "INVALID_PARAMETER",
        "parameters.width",
    ),
    (
        replace(REQUEST, pipeline="five_stages"),
        DADA,
        NotFound,
        "PIPELINE_NOT_FOUND",
        "pipeline",
    ),
    (
        replace(
            REQUEST,
            output_configs=("sized",),
            input_images=1,
            parameters={"negative_prompt": "blurry " * 20_000},
        ),
        DADA,
        InvalidArgument,
        "PARAMETERS_TOO_LARGE",
        "parameters",
    ),
    (
        REQUEST,
        replace(DADA, default_output="video"),
        FailedPrecondition,
        "OUTPUT_NOT_AVAILABLE",
        None,
    ),
]


@pytest.mark.parametrize(("request_", "recipe", "kind", "reason", "field"), DEFECTS)
def test_defects_are_named_with_their_field(
    request_: RunRequest, recipe: Recipe, kind: type[ArtlabError], reason: str, field: str | None
) -> None:
    with pytest.raises(kind) as caught:
        make_plan(request_, recipe, CATALOGUE, YOUTH)
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize(
    ("names", "count", "told"),
    [
        (("morph",), 0, "these outputs take 2 pictures, and none are brought"),
        (("sized",), 2, "these outputs take 1 picture, and 2 are brought"),
        (("builtin_image",), 1, "these outputs take no pictures, and 1 is brought"),
        (("nonsense",), 0, "no such output config; there are "),
    ],
)
def test_what_is_there_or_lacks_is_told(names: tuple[str, ...], count: int, told: str) -> None:
    with pytest.raises(ArtlabError) as caught:
        make_plan(
            replace(REQUEST, output_configs=names, input_images=count), DADA, CATALOGUE, YOUTH
        )
    assert caught.value.message.startswith(told)
    if names == ("nonsense",):
        assert "builtin_image" in caught.value.message


def test_a_pipeline_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(NotFound) as caught:
        make_plan(replace(REQUEST, pipeline="five_stages"), DADA, CATALOGUE, YOUTH)
    assert caught.value.message == "no such pipeline; there are four_stages"


def test_a_question_is_expected_where_the_person_asked_to_be_asked() -> None:
    plan = make_plan(replace(REQUEST, pause_before_render=True), DADA, CATALOGUE, YOUTH)
    assert plan.expected_entities == (
        "input",
        "translation",
        "safety",
        "interception",
        "question",
        "decision",
        "safety_pre_output",
        "output_image",
    )


def test_what_people_may_let_a_run_wait_is_known_before() -> None:
    assert make_plan(REQUEST, DADA, CATALOGUE, YOUTH).waiting_seconds == 0
    asked = replace(REQUEST, pause_before_render=True)
    assert make_plan(asked, DADA, CATALOGUE, YOUTH).waiting_seconds == 24 * 3600


def test_a_question_for_each_output_is_waited_for_with_each() -> None:
    document = json.loads(shipped().document)
    [each] = [step for step in document["steps"] if step["type"] == "for_each_output"]
    ask = {"kind": "approve", "who": "teacher", "seconds": 60}
    text = "{{ steps.pre_output_safety.output.text }}"
    each["config"]["body"]["steps"].insert(
        2, {"id": "ask_teacher", "type": "question", "config": ask, "inputs": {"text": text}}
    )
    asking = {"four_stages": parse_definition(document, "asking")}
    request = replace(REQUEST, output_configs=("builtin_image",) * 3)
    plan = make_plan_of(request, DADA, CATALOGUE, YOUTH, asking)
    assert plan.waiting_seconds == 3 * 60
    assert plan.expected_entities.count("question") == 3


def test_a_question_that_cannot_be_asked_is_found_at_the_start() -> None:
    document = json.loads(shipped().document)
    [question] = [step for step in document["steps"] if step["type"] == "question"]
    question["config"]["seconds"] = 0
    broken = {"four_stages": parse_definition(document, "broken")}
    with pytest.raises(InvalidArgument) as caught:
        make_plan_of(REQUEST, DADA, CATALOGUE, YOUTH, broken)
    assert caught.value.reason == "STEP_CONFIG_INVALID"
    assert caught.value.field == "steps.question.config.seconds"
