from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from services.interception.catalogue import load_recipes
from services.kit.catalogue import CONFIGS, CatalogueError

SHIPPED = CONFIGS / "interception"
WANTED = {
    "dada", "bauhaus", "renaissance", "overdrive", "stillepost", "theopposite", "piglatin",
    "jugendsprache", "image_comparison", "user_defined", "translation_en", "passthrough",
}  # fmt: skip


def document(name: str = "dada") -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())
    return loaded


def defects_of(folder: Path) -> dict[str, str]:
    with pytest.raises(CatalogueError) as caught:
        load_recipes(folder)
    return {f"{d.file}:{d.field}": d.reason for d in caught.value.defects}


def write(folder: Path, name: str, content: dict[str, Any]) -> None:
    (folder / name).write_bytes(orjson.dumps(content))


def test_the_shipped_recipes_are_sound_and_complete() -> None:
    recipes = load_recipes(SHIPPED)
    assert set(recipes) >= WANTED
    assert recipes["stillepost"].passes == 8
    assert len(recipes["stillepost"].languages) == 15
    assert recipes["image_comparison"].output_configs == ("sd35_large", "flux2", "builtin_image")
    for name in ("translation_en", "passthrough", "piglatin"):
        assert not recipes[name].translates_input
    for name in ("passthrough", "piglatin"):
        assert recipes[name].needs_no_model


def test_every_shipped_text_is_there_in_both_languages_and_differs() -> None:
    for recipe in load_recipes(SHIPPED).values():
        for texts in (recipe.description, recipe.context):
            assert set(texts) == {"en", "de"}
            assert texts["en"] != texts["de"]
        if not recipe.needs_no_model:
            # Long enough to say what the attitude wanted; about the same in both.
            words = {language: len(text.split()) for language, text in recipe.context.items()}
            assert min(words.values()) >= 80, (recipe.name, words)
            assert max(words.values()) < 1.6 * min(words.values()), (recipe.name, words)


def test_orders_and_colours_tell_the_recipes_apart() -> None:
    recipes = list(load_recipes(SHIPPED).values())
    assert len({recipe.order for recipe in recipes}) == len(recipes)
    assert len({recipe.color for recipe in recipes}) == len(recipes)


def test_json_is_accepted_too(tmp_path: Path) -> None:
    write(tmp_path, "mine.json", document())
    assert load_recipes(tmp_path)["mine"].title["de"] == "Dada"


def test_all_defects_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    one = document() | {"colour": "red", "passes": 0}
    del one["name"]["de"]
    two = document("bauhaus")
    two["parameters"]["temperature"] = 3
    two["writer"] = {"technique": "reduction", "options": {"elements": 99}}
    write(tmp_path, "one.json", one)
    write(tmp_path, "two.json", two)
    (tmp_path / "three.yaml").write_text("name: [unclosed\n")
    (tmp_path / "Four.yaml").write_text("{}")
    found = defects_of(tmp_path)
    assert {
        "one.json:colour", "one.json:passes", "one.json:name.de", "two.json:parameters.temperature",
        "two.json:writer", "three.yaml:", "Four.yaml:",
    } <= set(found)  # fmt: skip
    assert "elements" in found["two.json:writer"]


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("dada", {"passes": 3}, "passes"),
    ("stillepost", {"passes": 1}, "passes"),
    ("dada", {"languages": ["fr"]}, "languages"),
    ("stillepost", {"languages": ["fr", "xx", "it"]}, "languages"),
    ("stillepost", {"languages": ["fr", "es", "fr"]}, "languages"),
    ("stillepost", {"languages": ["de", "en", "fr"]}, "languages"),
    ("translation_en", {"target_language": ""}, "target_language"),
    ("dada", {"target_language": "en"}, "target_language"),
    ("translation_en", {"target_language": "klingon"}, "target_language"),
    ("dada", {"accepts_context": True}, "accepts_context"),
    ("user_defined", {"accepts_context": False}, "requires_context"),
    ("passthrough", {"writer": {"technique": "cut_up"}}, "writer"),
    ("dada", {"writer": {"technique": "magic"}}, "technique"),
    ("dada", {"writer": {"technique": "cut_up", "options": {"glitter": 1}}}, "glitter"),
]


@pytest.mark.parametrize(("name", "change", "word"), BROKEN)
def test_what_does_not_hang_together_is_a_defect(
    tmp_path: Path, name: str, change: dict[str, Any], word: str
) -> None:
    write(tmp_path, "broken.json", document(name) | change)
    assert any(word in reason for reason in defects_of(tmp_path).values())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("display.color", "red"),
        ("display.order", -1),
        ("audience.min_age", 100),
        ("parameters.top_p", 0),
        ("parameters.max_tokens", 0),
        ("context.de", "zu kurz"),
        ("category", "Two Words"),
        ("media_preferences.output_configs", ["../etc"]),
        ("media_preferences.default_output", "smell"),
        ("pipeline", "double"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, path: str, value: object) -> None:
    changed = document()
    *parents, last = path.split(".")
    place = changed
    for parent in parents:
        place = place[parent]
    place[last] = value
    write(tmp_path, "broken.json", changed)
    assert any(key.startswith(f"broken.json:{path}") for key in defects_of(tmp_path))


def test_an_empty_folder_is_a_defect(tmp_path: Path) -> None:
    assert "no catalogue files" in str(list(defects_of(tmp_path).values()))
