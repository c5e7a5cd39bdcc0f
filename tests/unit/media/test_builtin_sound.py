"""Built-in music and sounds: decoded and listened to."""

from __future__ import annotations

import numpy as np
import pytest

from services.kit.errors import InvalidArgument
from services.media.backends.builtin.render import BY_RECIPE, random_for
from services.media.backends.builtin.sound.hearing import listen, opposite
from services.media.backends.builtin.sound.manners import MANNERS, renaissance
from services.media.backends.builtin.sound.signal import samples
from services.media.backends.builtin.sound.textures import TEXTURES
from services.media.backends.builtin.sound.voices import VOICES
from services.media.backends.builtin.words import _lexicon, read_scene
from tests.unit.media.builtin_jobs import builtin_job, check_as_the_recorder, hear, make

RECIPES = ("", "bauhaus", "dada", "renaissance", "overdrive", "stillepost", "theopposite")
PROMPTS = (
    "Eine Blume auf der Wiese",
    "Ein Gewitter über der Stadt",
    "a sad robot",
    "xyzzy",
    "愛",
    "Züge",
)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", ["audio", "music"])
def test_a_sound_is_whole_stereo_audible_and_neither_clips_nor_clicks(
    kind: str, recipe: str
) -> None:
    seconds = 4.0
    job = builtin_job(kind, "Ein Hund im Regen", recipe=recipe, values={"seconds": seconds})
    data, facts = make(job)
    check_as_the_recorder(kind, data)
    heard = hear(data)
    assert heard.wave.shape[0] == 2
    assert heard.rate == 44_100
    assert heard.seconds == pytest.approx(seconds, abs=0.1)
    # An encoder that loses something may overshoot what it was given, but not to the brim.
    assert np.abs(heard.wave).max() < 0.98
    assert heard.rms(0.2, seconds - 0.5) > 0.05
    for start in np.arange(0.2, seconds - 1.2, 0.5):
        assert heard.rms(start, start + 0.6) > 0.005, "a hole"
    first, last = heard.wave[:, :20], heard.wave[:, -200:]
    assert np.abs(first).max() < 0.05
    assert np.abs(last).max() < 0.01
    assert abs(float(heard.wave.mean())) < 0.003
    left, right = heard.wave
    assert not np.allclose(left, right, atol=1e-3), "it is mono"
    assert facts["duration_seconds"] == "4"


@pytest.mark.parametrize("seconds", [2, 2.5, 20])
def test_a_piece_is_as_long_as_asked_for_to_its_end(seconds: float) -> None:
    heard = hear(make(builtin_job("music", values={"seconds": seconds}))[0])
    assert heard.seconds == pytest.approx(seconds, abs=0.1)
    assert heard.rms(seconds - 1.6, seconds - 0.8) > 0.01


def test_the_same_job_sounds_the_same_and_others_do_not() -> None:
    heard = {
        (kind, prompt, recipe, seed): make(
            builtin_job(kind, prompt, recipe=recipe, seed=seed, values={"seconds": 2})
        )[0]
        for kind in ("audio", "music")
        for prompt, recipe, seed in (
            (PROMPTS[0], "renaissance", 1),
            (PROMPTS[0], "renaissance", 2),
            (PROMPTS[0], "", 1),
            (PROMPTS[1], "renaissance", 1),
        )
    }
    assert len(set(heard.values())) == len(heard)
    again = builtin_job("music", PROMPTS[0], recipe="renaissance", seed=1, values={"seconds": 2})
    assert make(again)[0] == heard["music", PROMPTS[0], "renaissance", 1]


@pytest.mark.parametrize("name", sorted(TEXTURES))
def test_every_noise_of_the_world_is_heard_and_finite(name: str) -> None:
    wave = TEXTURES[name](np.random.default_rng(3), samples(1.5))
    assert wave.shape == (samples(1.5),)
    assert wave.dtype == np.float32
    assert np.isfinite(wave).all()
    assert 0.5 < np.abs(wave).max() <= 1.6
    assert np.isfinite(TEXTURES[name](np.random.default_rng(4), 300)).all()


@pytest.mark.parametrize("name", sorted(VOICES))
def test_every_instrument_begins_and_ends_without_a_click(name: str) -> None:
    for pitch in (36.0, 60.0, 91.0):
        wave = VOICES[name](np.random.default_rng(3), pitch, 0.4, 0.8)
        assert np.isfinite(wave).all()
        assert 0.05 < np.abs(wave).max() < 2.5
        assert abs(wave[0]) < 0.02
        assert abs(wave[-1]) < 0.02


def test_words_say_what_is_heard() -> None:
    def heard(prompt: str) -> tuple[str, ...]:
        return listen(read_scene(prompt), np.random.default_rng(1)).textures

    assert heard("Eine Eisenbahn im Nebel")[:1] == ("train",)
    assert "thunder" in heard("Gewitter")
    assert "sea" in heard("the sea")
    assert "cat" in heard("drei Katzen")
    lead = listen(read_scene("Ein Klavier am Meer"), np.random.default_rng(1)).lead
    assert lead == "piano"
    tempos = [
        listen(read_scene(prompt), np.random.default_rng(1)).beats_per_minute
        for prompt in ("ein langsamer trauriger Hund", "ein Hund", "ein schnell tanzender Hund")
    ]
    assert tempos == sorted(tempos)
    assert listen(read_scene("happy"), np.random.default_rng(1)).is_major
    assert not listen(read_scene("traurig"), np.random.default_rng(1)).is_major


def test_what_words_can_ask_for_exists() -> None:
    wanted = set(_lexicon()["sounds"])
    assert wanted <= {*TEXTURES, *VOICES, "fast", "slow"}


def test_the_opposite_is_another_mood() -> None:
    hearing = listen(read_scene("a sad dog in the rain"), np.random.default_rng(1))
    other = opposite(hearing)
    assert hearing.is_major != other.is_major
    assert other.beats_per_minute > hearing.beats_per_minute
    assert not set(other.textures) & {"rain", "dog"}


def test_every_visual_language_has_a_musical_manner() -> None:
    assert set(MANNERS) == {"landscape", *BY_RECIPE.values()}


@pytest.mark.parametrize("seed", range(6))
def test_voices_of_a_renaissance_piece_are_mostly_consonant_with_the_lowest(seed: int) -> None:
    random = random_for("x", "renaissance", seed)
    score = renaissance(listen(read_scene("Eine Burg"), random), random, 20)
    low = [n for n in score.notes if n.voice == "pluck"]
    high = [n for n in score.notes if n.voice in ("flute", "reed", "organ")]
    apart = [
        abs(a.pitch - b.pitch) % 12 for b in low for a in high if a.at <= b.at < a.at + a.beats
    ]
    consonant = sum(interval in (0, 3, 4, 7, 8, 9) for interval in apart)
    assert consonant / len(apart) > 0.85


@pytest.mark.parametrize("prompt", PROMPTS)
def test_any_words_make_music(prompt: str) -> None:
    heard = hear(make(builtin_job("music", prompt, values={"seconds": 2}))[0])
    assert heard.rms(0.1, 1.5) > 0.03


@pytest.mark.parametrize("seconds", [1.9, 31, float("nan")])
def test_other_lengths_are_refused(seconds: float) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make(builtin_job("audio", values={"seconds": seconds}))
    assert caught.value.reason == "INVALID_PARAMETER"
