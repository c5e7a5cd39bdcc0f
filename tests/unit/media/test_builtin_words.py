"""Reading prompts: things, numbers, times, places, colours, in German and English."""

from __future__ import annotations

import pytest

from services.media.backends.builtin import motifs
from services.media.backends.builtin.palette import NAMED
from services.media.backends.builtin.words import MAX_COUNT, MAX_SUBJECTS, _lexicon, read_scene


@pytest.mark.parametrize(
    ("prompt", "motif", "count"),
    [
        ("Eine Blume", "flower", 1),
        ("Blumen", "flower", 4),
        ("drei Vögel", "bird", 3),
        ("Ein Vogel", "bird", 1),
        ("Three birds", "bird", 3),
        ("a dog", "dog", 1),
        ("7 cats", "cat", 7),
        ("viele Bäume", "tree", 7),
        ("999 stars", "star", MAX_COUNT),
        ("0 Katzen", "cat", 1),
        ("zwei kleine graue Katzen", "cat", 2),
        ("den Hunden", "dog", 4),
        ("Die Liebe", "heart", 1),
        ("愛", "heart", 1),
        ("一匹の猫", "cat", 1),
        ("una flor", "flower", 1),
        ("Schmetterlinge", "butterfly", 4),
        ("ein alter Roboter", "robot", 1),
        ("Digga, da chillt ein Doggo", "dog", 1),
        ("a lowkey lost bot", "robot", 1),
    ],
)
def test_things_are_found_with_their_number(prompt: str, motif: str, count: int) -> None:
    subject = read_scene(prompt).subjects[0]
    assert (subject.motif, subject.count) == (motif, count)


@pytest.mark.parametrize(
    ("prompt", "motifs_seen"),
    [
        ("A robot, five times the form", ["robot"]),
        ("A bot. Living rent-free in my head.", ["robot"]),
        ("Freiheit, so hell, dass man die Augen schließen muss!", ["bird", "balloon"]),
        ("Katzen. Der Blick sagt alles", ["cat"]),
        ("Ein Blick aus blauen Augen", ["eye"]),
        ("A sewing machine", []),
        ("a hurricane", []),
    ],
)
def test_idioms_are_no_things(prompt: str, motifs_seen: list[str]) -> None:
    assert [subject.motif for subject in read_scene(prompt).subjects] == motifs_seen


@pytest.mark.parametrize("prompt", ["A lonely robot in the rain", "Ein einsamer Roboter"])
def test_a_lonely_thing_is_left_alone(prompt: str) -> None:
    assert [subject.motif for subject in read_scene(prompt).subjects] == ["robot"]
    assert [subject.motif for subject in read_scene("Einsamkeit").subjects] == ["person"]


@pytest.mark.parametrize(
    ("prompt", "fact", "value"),
    [
        ("bei Nacht", "time", "night"),
        ("Sonnenuntergang", "time", "dusk"),
        ("at dawn", "time", "dawn"),
        ("im Mondlicht", "time", "night"),
        ("Der Mond am Morgen", "time", "dawn"),
        ("im Regen", "weather", "rain"),
        ("snowy", "weather", "snow"),
        ("Ein dichter Nebel", "weather", "fog"),
        ("auf der Blumenwiese", "place", "meadow"),
        ("Drei Katzen auf dem Mond", "place", "space"),
        ("Der Mond über der Wiese", "place", "meadow"),
        ("am See", "place", "sea"),
        ("I see", "place", None),
        ("Neonstadt", "place", "city"),
        ("Großstadt", "place", "city"),
        ("traurig", "mood", "sad"),
        ("sad neon", "mood", "neon"),
        ("a kind word", "subjects", ()),
        ("man sagt", "subjects", ()),
        ("Heute war es kalt", "subjects", ()),
        ("starten", "subjects", ()),
    ],
)
def test_facts_are_found(prompt: str, fact: str, value: object) -> None:
    assert getattr(read_scene(prompt), fact) == value


def test_a_colour_belongs_to_the_thing_after_it() -> None:
    scene = read_scene("eine rote Katze und ein blauer Hund und ein Haus")
    assert [(s.motif, s.colour) for s in scene.subjects] == [
        ("cat", "red"), ("dog", "blue"), ("house", None),
    ]  # fmt: skip
    assert scene.colours == ("red", "blue")


def test_a_compound_is_read_at_both_ends() -> None:
    scene = read_scene("Blumenwiese")
    assert scene.place == "meadow"
    assert [(s.motif, s.count) for s in scene.subjects] == [("flower", 4)]


def test_an_idea_brings_what_stands_for_it() -> None:
    scene = read_scene("Freiheit")
    assert scene.subjects[0].motif == "bird"
    assert scene.place == "sea"


def test_what_is_not_understood_is_no_error() -> None:
    for prompt in ("", "qwertz", "\x00", "𓂀" * 500, "-" * 10_000, "²", "¹ ③"):
        scene = read_scene(prompt)
        assert (scene.subjects, scene.place) == ((), None)


def test_subjects_are_bounded() -> None:
    every = " ".join(str(words[0]) for words in _lexicon()["motifs"].values())
    assert len(read_scene(every * 50).subjects) == MAX_SUBJECTS


def test_every_name_in_the_lexicon_can_be_drawn() -> None:
    lexicon = _lexicon()
    assert set(lexicon["motifs"]) == set(motifs.MOTIFS)
    assert set(lexicon["colours"]) == set(NAMED)
    for idea in lexicon["ideas"].values():
        assert set(idea["motifs"]) <= set(motifs.MOTIFS)
        assert set(idea) <= {"words", "motifs", "place", "time", "weather", "company"}
        for kind in ("place", "time", "weather"):
            assert idea.get(kind) in {None, *lexicon[f"{kind}s"]}
    assert set(lexicon["phrases"]) <= set(lexicon["places"])


def test_no_word_of_the_lexicon_stands_for_two_things_of_a_kind() -> None:
    for kind in ("motifs", "colours", "times", "weathers", "numbers"):
        seen: dict[str, str] = {}
        for name, words in _lexicon()[kind].items():
            for word in words:
                assert seen.setdefault(word, name) == name, f"{word}: {seen[word]} and {name}"
