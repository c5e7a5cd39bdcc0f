"""Pig Latin, exactly, for English and German by the same rules.

1.  Vowels are a e i o u, with any accent or umlaut (ä ö ü é …); y is a consonant at the start of a
    word and a vowel everywhere else.
2.  A word that begins with a vowel gets "way": "apple" – "appleway", "Über" – "Überway".
3.  Otherwise the consonants before the first vowel go to the end, then comes "ay": "string" –
    "ingstray", "Schnee" – "Eeschnay".
4.  "qu" goes together: "queen" – "eenquay", "square" – "aresquay", "Qualle" – "allequay".
5.  A word without any vowel keeps its letters: "hmm" – "hmmay".
6.  Capitals stay in their place: "Hund" – "Undhay", "NASA" – "ASANAY"; a single capital letter is
    only the first of a word.
7.  Everything between words stays: spaces, punctuation, digits, emoji. Parts of a hyphenated word
    are words; an apostrophe inside a word belongs to it ("don't" – "on'tday").
8.  Words of other scripts, and words with digits in them, stay as they are.
"""

from __future__ import annotations

import unicodedata

from services.interception.writer.material import Material
from services.interception.writer.tokens import capitalised, tokenize

_VOWELS = frozenset("aeiou")


def pig_latin(material: Material) -> str:
    """The whole text in Pig Latin."""
    return "".join(
        pig_word(token.text) if token.is_word else token.text for token in tokenize(material.text)
    )


def pig_word(word: str) -> str:
    """One word in Pig Latin."""
    letters = _letters(word)
    if not all(_is_latin(letter) for letter in letters):
        return word
    if _is_vowel(letters[0]):
        moved, rest, ending = "", word, "way"
    else:
        cut = _onset(letters)
        moved, rest, ending = "".join(letters[:cut]), "".join(letters[cut:]), "ay"
    return _cased(rest, moved, ending, letters)


def _cased(rest: str, moved: str, ending: str, letters: list[str]) -> str:
    word = "".join(letters)
    cased = [letter for letter in word if letter.isalpha()]
    if len(cased) > 1 and all(letter == letter.upper() for letter in cased) and word.isupper():
        return rest + moved + ending.upper()
    if not letters[0][0].isupper() or not moved:
        return rest + moved + ending
    # Only the first capital moves: "McDonald" keeps its inner one.
    return capitalised(rest + moved[:1].lower() + moved[1:] + ending)


def _onset(letters: list[str]) -> int:
    """How many letters stand before the first vowel; all of them when there is none."""
    for index, letter in enumerate(letters):
        base = _base(letter)
        if base == "u" and index and _base(letters[index - 1]) == "q":
            continue
        if _is_vowel(letter) or (base == "y" and index > 0):
            return index
    return len(letters)


def _letters(word: str) -> list[str]:
    """Letters with the marks that belong to them, so that a split umlaut stays whole."""
    found: list[str] = []
    for character in word:
        if found and unicodedata.category(character)[0] == "M":
            found[-1] += character
        else:
            found.append(character)
    return found


def _base(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0].lower()


def _is_vowel(letter: str) -> bool:
    return _base(letter) in _VOWELS or letter.lower() in ("æ", "œ", "ø")


def _is_latin(letter: str) -> bool:
    if letter in "'’ʼ":
        return True
    return unicodedata.name(letter[0], "").startswith("LATIN")
