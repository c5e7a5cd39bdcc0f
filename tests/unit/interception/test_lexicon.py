from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.interception.writer import lexicon_files
from services.interception.writer.phrases import read
from services.kit.catalogue import CatalogueError
from tests.unit.interception.writing import LEXICON


def test_there_is_enough_to_say() -> None:
    for words in (LEXICON.de, LEXICON.en):
        assert len(words.sounding) >= 350
        opposites = sum(len(part) for part in words.opposites.values())
        assert opposites >= 400
        assert len(words.slang_nouns) + len(words.slang_adjectives) + len(words.slang_verbs) >= 100
        assert len(words.strong_verbs) >= 35
        assert len(words.misheard) >= 120


def test_compounds_are_known_by_their_last_part() -> None:
    form = LEXICON.de.noun("Blumenwiesen")
    assert form is not None
    assert (form.noun.gender, form.noun.category, form.is_plural) == ("f", "landscape", True)


def test_phrases_know_article_adjectives_and_preposition() -> None:
    reading = read("Mein kleiner Hund sitzt im roten Zug.", LEXICON.de)
    dog, train = reading.phrases
    assert (dog.name, dog.determiner, reading.adjectives(dog)) == ("Hund", "mein", ["kleiner"])
    assert (train.name, train.preposition, reading.adjectives(train)) == ("Zug", "in", ["roten"])
    assert train.after_verb
    assert not dog.after_verb


def test_small_letters_are_read_as_well() -> None:
    assert [each.name for each in read("die alte frau sieht den mond", LEXICON.de).phrases] == [
        "Frau", "Mond",
    ]  # fmt: skip


def test_english_compounds_and_verbs_are_told_from_nouns() -> None:
    reading = read("Two women dance while a glowing train station watches the dance", LEXICON.en)
    assert [each.name for each in reading.phrases] == ["women", "station", "dance"]


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [
        ("nouns.yaml", "Blume f Blumen", "Blume x Blumen", "gender"),
        ("nouns.yaml", "Blume f Blumen", "Blume f", "expected 3 parts"),
        ("nouns.yaml", "Baum m Bäume", "Blume f Blumen", "named twice"),
        ("antonyms.yaml", "groß klein", "groß", "expected 2 parts"),
        ("slang.yaml", "  openers: |", "  starters: |", "missing"),
        ("dada.yaml", "Lineal n", "Lineal", "expected 2 parts"),
    ],
)
def test_a_defect_of_a_file_is_named(
    tmp_path: Path, name: str, old: str, new: str, word: str
) -> None:
    folder = tmp_path / "lexicon"
    shutil.copytree(lexicon_files.FOLDER, folder)
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CatalogueError) as caught:
        lexicon_files.load_lexicon(folder)
    assert any(d.file == name and word in d.reason for d in caught.value.defects)
