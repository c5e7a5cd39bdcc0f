"""Chains and splits: what a file must say, and what each pass is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from artlab.interception.v1 import interception_pb2 as pb
from services.interception.catalogue import load_recipes
from services.interception.translate import recipe_message
from services.kit.catalogue import CONFIGS, CatalogueError
from tests.unit.interception.writing import RECIPES, finished, written

PREVIOUS, ORIGINAL, ALL = pb.PASS_TEXT_PREVIOUS, pb.PASS_TEXT_ORIGINAL, pb.PASS_TEXT_ALL


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CONFIGS / f"interception/{name}.yaml").read_text())
    return loaded


@pytest.mark.parametrize(
    ("name", "takes", "result"),
    [
        ("dada", [PREVIOUS], PREVIOUS),
        ("passthrough", [PREVIOUS], PREVIOUS),
        ("stillepost", [PREVIOUS] * 8, PREVIOUS),
        ("p5js_simplifier", [PREVIOUS, PREVIOUS], PREVIOUS),
        ("tellastory", [PREVIOUS, PREVIOUS], PREVIOUS),
        ("one_world", [ORIGINAL, ORIGINAL], ALL),
    ],
)
def test_the_plan_says_what_each_pass_takes(name: str, takes: list[int], result: int) -> None:
    message = recipe_message(RECIPES[name])
    assert [each.takes for each in message.plan] == takes
    assert len(message.plan) == message.passes
    assert message.result == result
    titled = name in ("p5js_simplifier", "tellastory", "one_world")
    assert all(set(each.title) == ({"en", "de"} if titled else set()) for each in message.plan)


def test_everything_a_model_is_told_is_told_to_the_caller() -> None:
    for recipe in RECIPES.values():
        message = recipe_message(recipe)
        for number in range(1, recipe.passes + 1):
            for language in ("en", "de"):
                for part in recipe.for_pass(number).context_in(language).split("\n\n"):
                    assert part in message.context[language]


def test_the_other_fields_are_told_too() -> None:
    message = recipe_message(RECIPES["dada"])
    assert (message.icon, message.color, message.order) == ("✂️", "#c8102e", 10)
    assert message.workshop_suitable
    assert list(message.tags) == ["collage", "chance", "avant-garde"]
    assert "Tzara" in message.meta["source"]
    assert message.origin == pb.RECIPE_ORIGIN_SHIPPED
    assert not message.local_only


def test_each_pass_has_the_context_technique_and_sampling_of_its_step() -> None:
    recipe = RECIPES["p5js_simplifier"]
    one, two = recipe.for_pass(1), recipe.for_pass(2)
    assert (one.writing.technique, two.writing.technique) == ("inventory", "shapes")
    assert (one.sampling.max_tokens, two.sampling.max_tokens) == (400, 900)
    for each in (one, two):
        assert each.context_in("en").startswith("A sentence says everything at once")
        assert each.passes == 2
    assert "numbered list" in one.context_in("en")
    assert "400 by 400" not in one.context_in("en")
    assert "400 by 400" in two.context_in("en")
    assert "400 mal 400" in two.context_in("de")


def test_a_chain_goes_on_with_what_it_made_and_a_split_begins_anew() -> None:
    listed = written("p5js_simplifier", "Ein roter Hund im Regen", number=1)
    assert listed.splitlines()[0].startswith("1. Regen")
    assert "Hund – vorn in der Mitte, am größten, rot" in listed
    drawn = finished("p5js_simplifier", "Ein roter Hund im Regen")
    assert "Hund, (200, 270)" in drawn
    assert "; Rot." in drawn
    left, right = finished("one_world", "Ein Hund im Regen").split("\n\n")
    assert left.startswith("Links: Ein Hund im Regen. ")
    assert right.startswith("Rechts: Ein Hund im Regen. ")
    places = {text.split(". ")[2].split(":")[0] for text in (left, right)}
    assert len(places) == 2


def test_a_chain_may_take_everything_and_be_local_only(tmp_path: Path) -> None:
    changed = document("tellastory") | {"local_only": True, "result": "all"}
    changed["steps"][1]["takes"] = "all"
    (tmp_path / "mine.json").write_bytes(orjson.dumps(changed))
    message = recipe_message(load_recipes(tmp_path)["mine"])
    assert [each.takes for each in message.plan] == [PREVIOUS, ALL]
    assert message.result == ALL
    assert message.local_only


STEP = document("tellastory")["steps"][0]
BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("tellastory", {"steps": [STEP]}, "steps"),
    ("tellastory", {"steps": [STEP] * 9}, "8 items"),
    ("tellastory", {"writer": {"technique": "story"}}, "writer"),
    ("tellastory", {"pipeline": "single"}, "steps"),
    ("dada", {"pipeline": "chain"}, "steps"),
    ("dada", {"result": "all"}, "result"),
    ("dada", {"writer": None}, "writer"),
    ("tellastory", {"steps": [STEP, STEP | {"takes": "nothing"}]}, "previous"),
    ("tellastory", {"steps": [STEP, STEP | {"writer": {"technique": "rules"}}]}, "rules"),
    ("one_world", {"steps": [STEP, STEP | {"takes": "previous"}]}, "original"),
    (
        "tellastory",
        {"steps": [STEP | {"context": {"en": "x" * 7000, "de": "x" * 50}}] * 2},
        "12000",
    ),
]


@pytest.mark.parametrize(("name", "change", "word"), BROKEN)
def test_steps_that_do_not_hang_together_are_a_defect(
    tmp_path: Path, name: str, change: dict[str, Any], word: str
) -> None:
    (tmp_path / "broken.json").write_bytes(orjson.dumps(document(name) | change))
    with pytest.raises(CatalogueError) as caught:
        load_recipes(tmp_path)
    assert any(word in str(defect) for defect in caught.value.defects), caught.value.defects
