"""Texts as words and what lies between them. Linear in the length of the text, any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

# Joins several emoji into one.
_JOINER = "\u200d"
_INNER = frozenset("'’ʼ")
# Scripts that write without spaces: a run of them is many words.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, or a piece of what lies between words; all tokens together are the text."""

    text: str
    is_word: bool


def tokenize(text: str) -> list[Token]:
    """Return the text as tokens; `join` of them is the text again."""
    tokens: list[Token] = []
    start = 0
    in_word = False
    for index, character in enumerate(text):
        is_part = _is_word_part(character) or (
            character in _INNER and in_word and _letter_follows(text, index)
        )
        if index and is_part != in_word:
            tokens.append(Token(text[start:index], in_word))
            start = index
        in_word = is_part
    if text:
        tokens.append(Token(text[start:], in_word))
    return tokens


def join(tokens: Sequence[Token]) -> str:
    """The text of all tokens."""
    return "".join(token.text for token in tokens)


def words(text: str) -> list[str]:
    """Only the words."""
    return [token.text for token in tokenize(text) if token.is_word]


def scraps(text: str) -> list[str]:
    """The pieces scissors would make: words, signs that stand alone, pairs of unspaced letters."""
    found: list[str] = []
    for token in tokenize(text):
        if not token.is_word:
            for part in token.text.split():
                found.extend(_signs(part))
        elif is_unspaced(token.text):
            found.extend(_clusters(token.text, 2))
        else:
            found.append(token.text)
    return found


def is_unspaced(word: str) -> bool:
    """Whether the word is of a script that writes without spaces."""
    return bool(word) and unicodedata.name(word[0], "").startswith(_UNSPACED)


def sentences(text: str) -> list[str]:
    """The sentences, each with its end mark; line breaks end one as well."""
    found: list[str] = []
    start = 0
    for index, character in enumerate(text):
        ends = character in "\n。！？" or (
            character in ".!?…" and (index + 1 == len(text) or text[index + 1].isspace())
        )
        if ends:
            found.append(text[start : index + 1].strip())
            start = index + 1
    found.append(text[start:].strip())
    return [each for each in found if each]


def capitalised(text: str) -> str:
    """The text with its first letter upper case and the rest as it is."""
    for index, character in enumerate(text):
        if character.isalpha():
            return text[:index] + character.upper() + text[index + 1 :]
    return text


def like(word: str, pattern: str) -> str:
    """The word with the capitals of the pattern: none, the first, or all."""
    if len(pattern) > 1 and pattern.isupper():
        return word.upper()
    if pattern[:1].isupper():
        return capitalised(word)
    return word


def _is_word_part(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _letter_follows(text: str, index: int) -> bool:
    return index + 1 < len(text) and _is_word_part(text[index + 1])


def _signs(part: str) -> list[str]:
    """Emoji and symbols, each with what belongs to it; commas are no material."""
    found: list[str] = []
    joined = False
    for character in part:
        category = unicodedata.category(character)
        if found and (joined or category in ("Mn", "Me", "Cf", "Sk")):
            found[-1] += character
        elif category in ("So", "Sc"):
            found.append(character)
        joined = character == _JOINER and bool(found)
    return found


def _clusters(text: str, size: int) -> list[str]:
    letters: list[str] = []
    for character in text:
        if letters and unicodedata.category(character)[0] == "M":
            letters[-1] += character
        else:
            letters.append(character)
    return ["".join(letters[i : i + size]) for i in range(0, len(letters), size)]
