"""Built-in films: decoded and looked at."""

from __future__ import annotations

import numpy as np
import pytest

from services.kit.errors import InvalidArgument
from services.media.backends.builtin.film.motion import MANNERS
from services.media.backends.builtin.render import BY_RECIPE, LANGUAGES
from tests.unit.media.builtin_jobs import builtin_job, check_as_the_recorder, make, see

RECIPES = ("", "bauhaus", "dada", "renaissance", "overdrive", "stillepost", "theopposite")
SMALL = {"width": 192, "height": 108, "seconds": 2, "fps": 10}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_film_moves_all_the_time_and_is_never_blank(recipe: str) -> None:
    data, facts = make(builtin_job("video", "Eine Katze im Schnee", recipe=recipe, values=SMALL))
    check_as_the_recorder("video", data)
    frames, fps = see(data)
    assert frames.shape == (20, 108, 192, 3)
    assert fps == 10
    changes = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    # Paper that is moved by hand rests for a frame.
    assert np.median(changes) > 0.15 or recipe == "dada"
    assert changes.mean() > 0.3
    assert (changes[::2] + changes[1::2][: len(changes[::2])].sum() > 0).all()
    # The drawing has grown: what is seen in the middle is no empty sheet.
    assert frames[12].std() > 12
    assert frames[-1].std() > 5
    assert np.abs(frames[0].astype(int) - frames[-1].astype(int)).mean() > 3
    assert facts["frames"] == "20"
    assert facts["fps"] == "10"


def test_the_same_job_shows_the_same_and_others_do_not() -> None:
    tiny = {"width": 128, "height": 128, "seconds": 2, "fps": 8}
    films = [
        make(builtin_job("video", prompt, recipe=recipe, seed=seed, values=tiny))[0]
        for prompt in ("Ein Hund im Regen", "a castle")
        for recipe in ("", "dada")
        for seed in (1, 2)
    ]
    assert len(set(films)) == 8
    again = builtin_job("video", "Ein Hund im Regen", recipe="", seed=1, values=tiny)
    assert (see(make(again)[0])[0] == see(films[0])[0]).all()


def test_rain_falls_in_front_of_the_picture() -> None:
    frames, _ = see(make(builtin_job("video", "Ein Haus im Regen", values=SMALL))[0])
    dry, _ = see(make(builtin_job("video", "Ein Haus", values=SMALL))[0])

    def flicker(film: np.ndarray) -> float:
        """Changes that are gone with the next frame."""
        grey = film[-6:].astype(np.float32).mean(axis=3)
        return float(np.abs(grey[1:-1] * 2 - grey[:-2] - grey[2:]).mean())

    assert flicker(frames) > 1.5 * flicker(dry)


def test_every_visual_language_has_a_motion() -> None:
    assert set(MANNERS) == set(LANGUAGES) == {"landscape", *BY_RECIPE.values()}


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 191), ("height", 62), ("width", 4096), ("fps", 0), ("seconds", 60)],
)
def test_sizes_that_cannot_be_encoded_and_endless_films_are_refused(name: str, value: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make(builtin_job("video", values=SMALL | {name: value}))
    assert caught.value.reason == "INVALID_PARAMETER"
    assert caught.value.field == f"parameters.{name}"
