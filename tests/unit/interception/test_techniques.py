"""What each technique does to a text, and that no text is too strange for any of them."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.interception.domain.technique import DEPICTIONS
from services.interception.writer.builtin import pieces
from services.interception.writer.tokens import join, scraps, tokenize, words
from services.kit.text import MAX_TEXT_BYTES, MAX_TEXT_CHARACTERS
from tests.unit.interception.writing import LEXICON, RECIPES, passed, written

SPEAKING = ["dada", "bauhaus", "renaissance", "overdrive", "jugendsprache", "image_comparison"]
# One recipe for each technique; all that describe are one technique with other sentences.
ALL = sorted(
    {
        "describing" if technique in DEPICTIONS else technique: name
        for name, recipe in RECIPES.items()
        for technique in [recipe.writing.technique]
    }.values()
)
RULES = "nur Substantive, rückwärts, ohne Farben, ohne den Buchstaben e"
STRANGE = [
    "Hund",
    "?",
    "🌸",
    "🏳️‍🌈👩‍👩‍👧‍👦",
    "123 456",
    "猫が雨の中で踊る",
    "собака под дождём",
    "كلب تحت المطر",
    "हिन्दी में एक कुत्ता",
    "𓀀𓀁",
    "a\u0300\u0301\u0302" * 500,
    "{{7*7}} %s %(x)s {0.__class__} {a} {der a} {The a}",
    "\\1 \\g<0> $1",
    "nicht kein no not un",
    "der die das",
    "=cmd|' /C calc'!A0",
    "Wort" * 4_900,
    "💩" * 16_000,
    " \n\t. \n",
]


@pytest.mark.parametrize("recipe", ALL)
@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_strange_texts_give_a_text_within_the_limits(recipe: str, text: str) -> None:
    for language in ("de", "en", "und"):
        made = written(recipe, text, language, rules=RULES)
        assert made.strip()
        assert len(made) <= MAX_TEXT_CHARACTERS
        assert len(made.encode()) <= MAX_TEXT_BYTES


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_the_second_step_of_a_chain_takes_any_text_as_well(text: str) -> None:
    for recipe in ("p5js_simplifier", "tellastory"):
        for language in ("de", "en"):
            made = written(recipe, text, language, number=2)
            assert made.strip()
            assert len(made) <= MAX_TEXT_CHARACTERS


@settings(max_examples=60, deadline=None)
@given(
    st.text(min_size=1, max_size=300).filter(str.strip), st.sampled_from(ALL), st.integers(0, 99)
)
def test_any_text_is_written_and_written_the_same_again(text: str, recipe: str, seed: int) -> None:
    for language in ("de", "en"):
        first = written(recipe, text, language, seed=seed, rules=RULES)
        assert first.strip() or not text.strip()
        assert first == written(recipe, text, language, seed=seed, rules=RULES)


@given(st.text(max_size=300))
def test_tokens_are_the_text_again(text: str) -> None:
    assert join(tokenize(text)) == text


@given(st.text(max_size=3_000))
def test_pieces_are_the_text_again_and_not_too_many(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert len(pieces(text)) <= 251


@pytest.mark.parametrize("recipe", SPEAKING)
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Eine Blume auf der Wiese", "de"),
        ("Ein Hund im Regen", "de"),
        ("A robot in the rain", "en"),
    ],
)
def test_an_attitude_is_no_echo_and_differs_from_the_others(
    recipe: str, text: str, language: str
) -> None:
    made = written(recipe, text, language)
    assert made != text
    assert len(made) > len(text)
    others = [written(each, text, language) for each in SPEAKING if each != recipe]
    assert made not in others


def test_dada_draws_every_word_of_a_short_text_exactly_once() -> None:
    text = "Eine Blume auf der Wiese"
    for seed in range(30):
        poem = written("dada", text, seed=seed).split("\n\n")[0]
        drawn = Counter(word.lower() for word in words(poem))
        assert all(drawn[word.lower()] >= 1 for word in words(text))
        # Two found things and a sound were glued in.
        assert "»" in poem


def test_dada_orders_the_words_by_chance() -> None:
    poems = {written("dada", "Eine Blume auf der Wiese", seed=seed) for seed in range(20)}
    assert len(poems) == 20


def test_dada_declines_the_things_of_the_text() -> None:
    made = " ".join(written("dada", "Ein Hund und eine Blume", seed=seed) for seed in range(60))
    for wrong in ("die Hund", "das Hund", "der Blume ist", "das Blume", "dem Blume"):
        assert wrong not in made


def test_scissors_cut_unspaced_scripts_and_single_emoji() -> None:
    assert scraps("猫が雨") == ["猫が", "雨"]
    assert scraps("🌸🐕, ja") == ["🌸", "🐕", "ja"]
    assert scraps("👩‍👧🌸") == ["👩‍👧", "🌸"]


def test_bauhaus_gives_form_material_arrangement_and_no_story() -> None:
    made = written("bauhaus", "Eine Blume auf der Wiese")
    assert made.startswith("Blume: ein")
    assert "Wiese: ein" in made
    assert re.search(r"Anordnung: \w+ auf \w+\.", made)
    assert "!" not in made


def test_bauhaus_builds_as_many_as_were_counted() -> None:
    assert written("bauhaus", "Drei Katzen auf dem Mond").startswith("Drei Katzen: je ein ")
    made = written("bauhaus", "A house with two small windows", "en")
    assert "Two windows: each a" in made
    assert written("bauhaus", "Die Katzen auf dem Mond").startswith("Katzen: ein ")


def test_bauhaus_turns_qualities_into_measures_and_names_what_falls_away() -> None:
    made = written("bauhaus", "Ein einsamer, wunderlicher roter Hund im Regen")
    assert "Ringsum leere Fläche" in made
    assert "Farbe: Rot." in made
    made = written("bauhaus", "A lonely marvellous robot", "en")
    assert "All around it empty plane" in made
    assert "Left out: marvellous." in made


def test_renaissance_has_a_study_a_vanishing_point_distance_and_a_technique() -> None:
    made = written("renaissance", "Ein Hund im Regen")
    assert made.startswith("Der Hund")
    assert "Der Regen" in made
    assert re.search("Luft|Ferne|Dunst", made)
    assert re.search("Tempera|tempera|Öl|Silberstift|Fresko", made)
    assert "vanishing point" in written("renaissance", "A house", "en")


def test_overdrive_intensifies_what_is_there() -> None:
    made = written("overdrive", "Ein kleiner Hund im Regen")
    assert re.search(r"Ein \w+ kleiner \w+hund", made)
    assert re.search(r"im \w+regen", made)
    assert made.count("!") >= 1
    english = written("overdrive", "A small dog sleeps", "en")
    assert "snores until the hills move" in english
    assert not re.search(r"\ba [aeio]\w+ly small", english, re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Eine Blume auf der Wiese", "de", "Ein Stein auf dem Asphalt"),
        ("Ein Hund im Regen", "de", "Eine Katze im Sonnenschein"),
        ("Eine rote Katze", "de", "Ein grüner Hund"),
        ("die alte Frau sieht den Mond", "de", "der junge Mann sieht die Sonne"),
        ("Die Häuser sind groß", "de", "Die Zelte sind klein"),
        ("Der Kern ist nicht da", "de", "Der Kern ist da"),
        ("Ich habe keine Angst.", "de", "Ich habe Angst."),
        ("Er hat keinen Hund", "de", "Er hat einen Hund"),
        ("Das Xyz ist da", "de", "Das Xyz ist nicht da"),
        ("Draußen fährt ein rotes Schiff", "de", "Drinnen fährt ein grünes Auto"),
        ("Draußen lacht ein kleines Mädchen", "de", "Drinnen weint ein großer Junge"),
        ("Draußen sieht sie ein kleines Mädchen", "de", "Drinnen sieht sie einen großen Jungen"),
        ("Er lacht und sieht ein Mädchen", "de", "Er weint und sieht einen Jungen"),
        ("A lonely robot in the rain", "en", "A sociable human in the sunshine"),
        ("An old king", "en", "A young fool"),
        ("A blue planet", "en", "An orange planet"),
        ("The dog is not big.", "en", "The dog is big."),
        ("I can't swim, but dogs can swim.", "en", "I can swim, but cats can sink."),
        ("xqzt", "en", "Anything but: xqzt"),
        ("xqzt", "de", "Alles außer: xqzt"),
    ],
)
def test_the_opposite_exchanges_agrees_and_flips_negation(
    text: str, language: str, expected: str
) -> None:
    assert written("theopposite", text, language) == expected


def test_slang_keeps_the_things_and_changes_the_tone() -> None:
    made = written("jugendsprache", "Ein trauriger Hund im Regen")
    assert "Doggo im Regen" in made
    assert "traurig" not in made
    english = written("jugendsprache", "A sad robot in the rain", "en")
    assert "down bad bot in the rain" in english


def test_mishearing_changes_a_little_and_keeps_the_rest() -> None:
    text = "Mein kleiner Bruder malt einen Hund auf die Mauer"
    for seed in range(20):
        heard = written("stillepost", text, seed=seed)
        changed = sum(a != b for a, b in zip(text.split(), heard.split(), strict=False))
        assert 1 <= changed <= 4, heard


def test_one_word_goes_through_eight_ears_and_is_another_each_time() -> None:
    text = "Blume"
    for number in range(1, 9):
        heard = written("stillepost", text, number=number)
        assert heard != text
        text = heard
    assert text != "Blume"


def test_what_is_misheard_goes_with_its_article_and_stays_as_many() -> None:
    for seed in range(20):
        text = written("stillepost", "Zwei Kinder und eine Burg", seed=seed)
        _, many, _, _, thing = text.split()
        found, other = LEXICON.de.noun(many), LEXICON.de.noun(thing)
        assert found is None or found.is_plural or found.noun.plural == found.noun.singular, text
        assert other is None or other.noun.gender == "f", text


def test_what_has_no_sound_is_not_misheard() -> None:
    assert written("stillepost", "🌸 123") == "🌸 123"


def test_the_longest_text_takes_less_than_two_seconds() -> None:
    import time

    text = ("Der kleine Hund trägt ein rotes Wort über die Wiese. " * 400)[:MAX_TEXT_CHARACTERS]
    for recipe in ALL:
        began = time.process_time()
        written(recipe, text, rules=RULES)
        assert time.process_time() - began < 2, recipe


@pytest.mark.parametrize(
    "text",
    ["!" * 19_999 + "x", "\n" * 19_999 + "x", ". " * 10_000, "kein " * 4_000, "ab-" * 6_000,
     "kein" + " " * 19_990 + "x", "a, " * 6_600, "can't " * 3_000,
     "'" * 20_000, "a'" * 10_000,
     "Hund " * 4_000, "der rote " * 2_200, "läuft " * 3_300],
)  # fmt: skip
def test_time_grows_with_the_length_and_not_with_its_square(text: str) -> None:
    import time

    for recipe in ALL:
        for language in ("de", "en"):
            began = time.process_time()
            written(recipe, text, language, rules=(RULES + " ") * 200)
            assert time.process_time() - began < 2, recipe


def test_what_was_done_is_reported() -> None:
    made = passed("dada", "Ein Hund")
    assert made.backend == "builtin"
    assert made.model == ""
    assert made.parameters["technique"] == "cut_up"
    assert made.parameters["found"] == "2"
    assert made.language == "de"
    assert made.translated is None


def test_opposites_and_forms_rest_on_nouns_whose_gender_is_known() -> None:
    known = LEXICON.de.nouns
    missing = [
        target
        for target in LEXICON.de.opposites["nouns"].values()
        if target.lower() not in known and target not in ("Loch", "Rechnung")
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (
            "Ein böser Mann mit einem scharfen Messer", "de",
            "Ein verlegener Mann mit einem blanken Löffel.",
        ),
        ("Die Soldaten schießen mit Kanonen", "de", "Die Gärtner pusten mit Trompeten."),
        ("Ein Taschenmesser und der Durchmesser", "de", "Ein Löffel und der Durchmesser."),
        (
            "Überall Blut und ein totes Skelett", "de",
            "Überall Himbeersaft und ein verschlafener Garderobenständer.",
        ),
        (
            "The soldier shoots at an evil axe", "en",
            "The gardener tickles at a bashful watering can.",
        ),
    ],
)  # fmt: skip
def test_the_sweetener_exchanges_what_threatens(text: str, language: str, expected: str) -> None:
    assert written("hunkydoryharmonizer", text, language).startswith(expected)


@pytest.mark.parametrize(
    ("text", "language", "kept", "struck"),
    [
        (
            "Eine wunderschöne Katze, magisch, im Sonnenuntergang, 8k", "de",
            "Eine Katze.", "Gestrichen: wunderschöne, magisch, im Sonnenuntergang, 8k.",
        ),
        ("An epic dog in a golden sunset", "en", "A dog.", "Struck out: epic, in a golden sunset."),
        (
            "magical forest with butterflies and sparkles, trending on artstation", "en",
            "Forest.", "Struck out: magical, with butterflies, sparkles, trending, artstation.",
        ),
        ("Sonnenuntergang am Meer", "de", "Sonnenuntergang am Meer.", ""),
        ("Ein Hund im Regen", "de", "Ein Hund im Regen.", ""),
        ("Ein Regenbogen", "de", "Ein Regenbogen.", ""),
        ("wunderschön", "de", "Wunderschön.", ""),
    ],
)  # fmt: skip
def test_de_kitsch_takes_cliches_out_and_names_them(
    text: str, language: str, kept: str, struck: str
) -> None:
    made = written("clichefilter", text, language)
    assert made.lower().startswith(kept.lower())
    assert made.endswith(struck)
    assert ("estrichen" in made or "Struck out" in made) == bool(struck)


def test_a_list_becomes_layers_from_the_back_to_the_front() -> None:
    made = written("p5js_simplifier", "1. Wiese – hinten\n2. Roter Ball – vorn", number=2)
    lines = made.splitlines()
    assert lines[1].startswith("1. Grund: ")
    assert lines[2].startswith("2. Wiese, überall: ")
    assert lines[3].startswith("3. Ball, (200, 270): ")
    assert lines[3].endswith("; Rot.")


def test_a_sketch_has_no_more_colours_and_no_thing_in_the_place_of_another() -> None:
    things = "Burg Junge Mädchen Möwe Schiff Hund Katze Haus Ball Tisch Baum".split()
    scene = "\n".join(f"{number}. {thing}" for number, thing in enumerate(things, 1))
    for seed in range(5):
        layers = written("p5js_simplifier", scene, number=2, seed=seed).splitlines()[2:13]
        assert len({layer.rpartition("; ")[2] for layer in layers}) <= 4
        places = re.findall(r"\(\d+, \d+\)", "\n".join(layers))
        assert len(places) == len(things) == len(set(places))


def test_a_chorus_is_a_line_and_no_whole_story() -> None:
    story = "Zwei Kinder bauen eine Burg. Die Flut kommt immer näher, und niemand sieht die Möwen. "
    made = written("lyrics_from_theme", story + "Ein Schiff fährt vorbei.")
    assert made.count("[chorus]\nZwei Kinder bauen eine Burg.\n") == 2
    english = written("lyrics_from_theme", "We walk along the river, " + "on and on " * 20, "en")
    assert "[chorus]\nWe walk along the river…\n" in english
