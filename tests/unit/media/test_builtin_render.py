"""The built-in renderer: repeatable, different where it should be, every size, no traces."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.kit.errors import InvalidArgument
from services.media.backends.builtin.render import BY_RECIPE, LANGUAGES, language_of, render_png

RECIPES = ["", "bauhaus", "dada", "renaissance", "overdrive", "stillepost", "theopposite"]
PROMPTS = [
    "Eine Blume auf der Wiese",
    "Ein Hund im Regen",
    "A lonely robot in a neon city at night",
    "Freiheit",
    "Drei Vögel über dem Meer bei Sonnenuntergang",
    "愛",
]
HARD_PROMPTS = [
    "",
    " ",
    "?!…",
    "x" * 20_000,
    "Blume " * 3_000,
    "\u202eemulB enie",
    "😀🎨",
    "12345678901234567890",
    "999 Katzen",
    "ﷺ" * 300,
    "a\u0308" * 50,
    "ß ẞ Ä ö ü é ł ş",
    "昼の 🌼 夜の",
]


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_request_gives_the_same_bytes(recipe: str) -> None:
    assert render_png(PROMPTS[0], recipe, 5, 160, 128) == render_png(
        PROMPTS[0], recipe, 5, 160, 128
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_another_seed_is_visibly_another_picture(recipe: str) -> None:
    pictures = [decoded(render_png(PROMPTS[0], recipe, seed, 96, 96)) for seed in range(3)]
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one - other).mean() > 12


def test_languages_look_unlike_each_other() -> None:
    pictures = [decoded(render_png(PROMPTS[0], recipe, 1, 128, 128)) for recipe in RECIPES]
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one - other).mean() > 25


def test_prompts_look_unlike_each_other() -> None:
    for recipe, prompts in zip(RECIPES, itertools.cycle((PROMPTS[:3], PROMPTS[3:])), strict=False):
        pictures = [decoded(render_png(prompt, recipe, 1, 64, 64)) for prompt in prompts]
        for one, other in itertools.combinations(pictures, 2):
            assert np.abs(one - other).mean() > 10


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_picture_is_never_empty(recipe: str) -> None:
    for prompt in PROMPTS[1:4]:
        picture = decoded(render_png(prompt, recipe, 2, 96, 96))
        assert picture.std() > 25
        assert len(np.unique(picture.reshape(-1, 3) // 16, axis=0)) > 20


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("width", "height"), [(65, 64), (64, 512), (2048, 64), (333, 217)])
def test_every_size_is_drawn_exactly(recipe: str, width: int, height: int) -> None:
    picture = Image.open(io.BytesIO(render_png(PROMPTS[4], recipe, 3, width, height)))
    picture.load()
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (width, height))


@pytest.mark.parametrize("recipe", ["", "dada"])
@pytest.mark.parametrize("prompt", HARD_PROMPTS, ids=lambda text: ascii(text[:12]))
def test_hard_prompts_are_drawn_too(recipe: str, prompt: str) -> None:
    assert decoded(render_png(prompt, recipe, 0, 64, 80)).shape == (80, 64, 3)


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=60), st.sampled_from(RECIPES), st.integers(0, 2**53 - 1))
def test_any_text_is_drawn(prompt: str, recipe: str, seed: int) -> None:
    assert decoded(render_png(prompt, recipe, seed, 64, 72)).shape == (72, 64, 3)


@pytest.mark.parametrize(
    ("width", "height", "field"),
    [(63, 64, "width"), (64, 2049, "height"), (0, 64, "width"), (64, -1, "height")],
)
def test_sizes_out_of_bounds_are_refused(width: int, height: int, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        render_png("x", "", 1, width, height)
    assert caught.value.field == f"parameters.{field}"


def test_the_file_holds_pixels_and_nothing_else() -> None:
    data = render_png("streng geheimes Wort", "dada", 1, 128, 128)
    kinds, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kinds.append(data[at + 4 : at + 8])
        at += 12 + length
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
    assert b"geheim" not in data


def test_steps_are_reported_in_order() -> None:
    seen: list[float] = []
    render_png("Blume", "", 1, 64, 64, seen.append)
    assert seen == sorted(seen)
    assert len(seen) >= 3
    assert (seen[0] < 0.5, seen[-1]) == (True, 1.0)


def test_what_a_step_raises_ends_the_rendering() -> None:
    class Stop(Exception):
        pass

    def stop(fraction: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        render_png("Blume", "", 1, 64, 64, stop)


def test_recipes_without_a_language_of_their_own_speak_the_default() -> None:
    assert set(BY_RECIPE.values()) <= set(LANGUAGES)
    assert language_of("") == language_of("user_defined") == "landscape"
    assert len(LANGUAGES) == 7
    assert {language_of(recipe) for recipe in RECIPES} == set(LANGUAGES)
