"""A recorded plan is the plan: nothing is lost, nothing is guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import ArtlabError, DataLoss, FailedPrecondition, InvalidArgument
from services.kit.ids import RunId
from services.orchestrator.domain.lineage import Copied, Lineage, Rerun
from services.orchestrator.domain.plan import MAX_SEED, Plan, PlannedOutput, RunRequest
from services.orchestrator.domain.plan_document import KINDS, plan_document, plan_of
from services.orchestrator.domain.run import LEVELS, Kind, Recipe
from services.orchestrator.domain.slots import Value
from tests.support.pipelines import FOUR_STAGES

names = st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True)
# Whatever the border lets through.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
run_ids = st.uuids().map(lambda one: RunId(str(one)))
seeds = st.integers(0, MAX_SEED)
kinds: st.SearchStrategy[Kind] = st.sampled_from(KINDS)
values: st.SearchStrategy[Value] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
unset = st.sets(st.sampled_from(["config_name", "seed", "parameters"])).map(sorted).map(tuple)


@st.composite
def _requests(draw: st.DrawFn) -> RunRequest:
    return RunRequest(
        run_id=draw(run_ids),
        config_name=draw(names),
        input_text=draw(texts),
        user_id=draw(names),
        context=draw(texts),
        output_configs=tuple(draw(st.lists(names, max_size=3))),
        level=draw(st.none() | st.sampled_from(LEVELS)),
        mode=draw(st.sampled_from(("eco", "fast"))),
        seed=draw(st.none() | seeds),
        language=draw(st.sampled_from(("", "de", "zh-Hant"))),
        input_images=draw(st.integers(0, 4)),
        parameters=draw(st.dictionaries(names, values, max_size=5)),
        allow_reuse=draw(st.booleans()),
        pipeline=FOUR_STAGES.name,
        pause_before_render=draw(st.booleans()),
        rerun=draw(
            st.none()
            | st.builds(
                Rerun,
                run_ids,
                st.integers(2, 4),
                text_sha256=st.just("") | st.just("ab" * 32),
                unset=unset,
            )
        ),
    )


@st.composite
def _plans(draw: st.DrawFn) -> Plan:
    request = draw(_requests())
    outputs = []
    for index in range(1, draw(st.integers(1, 4)) + 1):
        given_to = [name for name in request.parameters if draw(st.booleans())]
        kind: Kind = draw(kinds)
        outputs.append(
            PlannedOutput(
                index=index,
                occurrence=draw(st.integers(1, index)),
                config=draw(names),
                kind=kind,
                seed=draw(seeds),
                image_slots=tuple(draw(st.lists(names, max_size=2))),
                parameters={name: request.parameters[name] for name in given_to},
                text_slots=tuple(
                    sorted(n for n in given_to if isinstance(request.parameters[n], str))
                ),
            )
        )
    return Plan(
        request=request,
        recipe=draw(
            st.builds(
                Recipe,
                names,
                st.integers(1, 9),
                st.booleans(),
                st.booleans(),
                st.booleans(),
                st.lists(names, max_size=2).map(tuple),
                st.none() | kinds,
            )
        ),
        level=draw(st.sampled_from(LEVELS)),
        seed=draw(seeds),
        outputs=tuple(outputs),
        expected_entities=tuple(draw(st.lists(names, max_size=4))),
        pipeline=FOUR_STAGES,
        checks_images=draw(st.booleans()),
        lineage=draw(
            st.none()
            | st.builds(
                Lineage,
                run_ids,
                st.integers(2, 4),
                st.lists(
                    st.builds(Copied, st.integers(1, 99), names, st.integers(0, 9)), max_size=3
                ).map(tuple),
            )
        ),
    )


@given(_plans())
def test_a_plan_comes_back_as_it_was(plan: Plan) -> None:
    document = plan_document(plan)
    again = plan_of(document, plan.request.input_text, plan.request.context)
    assert again == plan
    # True is 1 to Python, and not to a renderer.
    assert repr(again.request.parameters) == repr(plan.request.parameters)
    assert plan_document(again) == document


@given(_plans())
def test_what_a_person_typed_is_not_in_it(plan: Plan) -> None:
    request = replace(plan.request, input_text="Zaubererblume", context="nurDreiecke")
    document = plan_document(replace(plan, request=request))
    assert "Zaubererblume" not in document
    assert "nurDreiecke" not in document


SMALL = Plan(
    request=RunRequest(
        RunId("528e5af9-59b3-4551-b101-27e13dd6e43e"),
        "dada",
        "Eine Blume",
        "anonymous",
        parameters={"width": 512},
    ),
    recipe=Recipe("dada", 1, True, False, False, (), "image"),
    level="youth",
    seed=7,
    outputs=(PlannedOutput(1, 1, "sized", "image", 7, parameters={"width": 512}),),
    expected_entities=("input",),
    pipeline=FOUR_STAGES,
)


def _changed(change: Any) -> str:
    document = json.loads(plan_document(SMALL))
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize("version", [0, 2, -1])
def test_another_version_is_refused_and_both_are_told(version: int) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        plan_of(_changed(lambda d: d.update(version=version)), "Eine Blume", "")
    assert caught.value.reason == "PLAN_VERSION_UNKNOWN"
    assert f"version {version}" in caught.value.message
    assert "knows 1" in caught.value.message


def test_a_run_without_a_plan_says_so() -> None:
    with pytest.raises(FailedPrecondition, match="PLAN_MISSING"):
        plan_of("", "Eine Blume", "")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d.pop("seed"), "plan.seed is missing"),
        (lambda d: d.pop("version"), "plan.version is missing"),
        (lambda d: d.update(version="1"), "plan.version is not of the type int"),
        (lambda d: d.update(seed=7.0), "plan.seed is not of the type int"),
        (lambda d: d.update(seed=True), "plan.seed is not of the type int"),
        (lambda d: d.update(mood="good"), "plan has 1 fields nobody knows"),
        (lambda d: d["request"].update(mood="good"), "plan.request has 1 fields nobody knows"),
        (lambda d: d.update(level="lax"), "plan.level is none of its words"),
        (lambda d: d["request"].pop("mode"), "plan.request.mode is missing"),
        (lambda d: d.update(run_id="x"), "plan.run_id is no run_id"),
        (lambda d: d.update(recipe=[]), "plan.recipe is no object"),
        (lambda d: d["outputs"][0].update(index=None), "plan.outputs[0].index is not of"),
        (lambda d: d["outputs"][0].update(parameters=["w"]), "names a value that is not there"),
        (lambda d: d["outputs"][0].update(text_slots=["w"]), "names a value that is not there"),
        (lambda d: d["pipeline"].update(sha256="0" * 64), "is not the definition its digest says"),
    ],
)
def test_a_damaged_plan_is_refused_with_the_place(change: Any, where: str) -> None:
    with pytest.raises(DataLoss) as caught:
        plan_of(_changed(change), "Eine Blume", "")
    assert caught.value.reason == "RECORD_NOT_UNDERSTOOD"
    assert where in caught.value.message


@pytest.mark.parametrize("document", ["{", "[]", "null", '"plan"'])
def test_what_is_no_object_is_refused(document: str) -> None:
    with pytest.raises(DataLoss, match="RECORD_NOT_UNDERSTOOD"):
        plan_of(document, "Eine Blume", "")


def test_a_pipeline_that_was_changed_in_the_record_is_refused() -> None:
    def change(document: dict[str, Any]) -> None:
        document["pipeline"]["definition"]["steps"].pop()

    with pytest.raises(ArtlabError) as caught:
        plan_of(_changed(change), "Eine Blume", "")
    assert not isinstance(caught.value, InvalidArgument)


def test_a_plan_the_recorder_would_not_take_is_refused_before() -> None:
    long = replace(SMALL, expected_entities=("interception_pass",) * 20_000)
    with pytest.raises(FailedPrecondition, match="PLAN_TOO_LARGE"):
        plan_document(long)
