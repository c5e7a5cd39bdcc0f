"""Ways to hide a word from a filter that a person still reads. Pure and always the same.

Where a way needs a least number of letters, shorter words become other words by it: "Regen" read
backwards is a slur, "pen is" is two words, and a slip of the keyboard makes "Ampel" of "Apmel".
"""

from __future__ import annotations

import base64
import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ZERO_WIDTH_SPACE = "\u200b"
SOFT_HYPHEN = "\u00ad"
WORD_JOINER = "\u2060"
GRAPHEME_JOINER = "\u034f"
RIGHT_TO_LEFT = "\u202e"
POP_DIRECTION = "\u202c"

_DIGITS = str.maketrans("aeiostAEIOST", "431057431057")
_SYMBOLS = str.maketrans("aiseoAISEO", "@!$€0@!$€0")
_CYRILLIC = str.maketrans("aceiopsxyABCEHIKMOPTX", "асеіорѕхуАВСЕНІКМОРТХ")
_GREEK = str.maketrans("aioutvABEHIKMNOPTXYZ", "αιουτνΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
_SMALL_CAPITALS = str.maketrans("abcdefghijklmnoprtuvwz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡᴢ")
_UMLAUTS = str.maketrans("aouAOU", "äöüÄÖÜ")
_ACCENTS = str.maketrans("aeiounsAEIOUNS", "àéîõûñšÀÉÎÕÛÑŠ")
_UPSIDE_DOWN = str.maketrans("abcdefghijklmnopqrtuvwy", "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹʇnʌʍʎ")
_MORSE = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- "
        "-. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..".split(),
        strict=True,
    )
)
_WORD = re.compile(r"[^\W\d_]+")
_VOWELS = "aeiouäöüAEIOUÄÖÜ"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to hide a word.

    `least` is the number of letters below which it makes another word. `readable` says that a
    person reads it at a glance; the others need a key, and are a judge model's work. `innocent`
    says that people write innocent words so too: "t*ts" are no birds.
    """

    name: str
    hide: Callable[[str], str]
    least: int = 1
    readable: bool = True
    innocent: bool = True


def hidden(text: str, word: str) -> Iterator[tuple[Way, str]]:
    """Yield the text with its word hidden, once for each way that changes it."""
    letters = sum(char.isalpha() for char in word)
    for way in WAYS:
        written = way.hide(word)
        if letters >= way.least and written != word:
            yield way, text.replace(word, written, 1)


def disguised(text: str, way: Way) -> str:
    """Return the text with every word hidden that is long enough for the way."""
    return _WORD.sub(
        lambda found: way.hide(found[0]) if len(found[0]) >= way.least else found[0], text
    )


def _between(joint: str) -> Callable[[str], str]:
    def hide(word: str) -> str:
        return " ".join(joint.join(part) for part in word.split(" "))

    return hide


def _after(mark: str) -> Callable[[str], str]:
    return lambda word: "".join(char + mark if char.isalpha() else char for char in word)


def _by(table: dict[int, int]) -> Callable[[str], str]:
    return lambda word: word.translate(table)


def _shifted(upper: int, lower: int) -> Callable[[str], str]:
    """Latin letters by others that stand elsewhere, from those of A and of a on."""

    def shift(char: str) -> str:
        if "A" <= char <= "Z":
            return chr(upper + ord(char) - ord("A"))
        return chr(lower + ord(char) - ord("a")) if "a" <= char <= "z" else char

    return lambda word: "".join(map(shift, word))


def _alternating(word: str) -> str:
    return "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(word))


def _in_the_middle(joint: str) -> Callable[[str], str]:
    return lambda word: word[: len(word) // 2] + joint + word[len(word) // 2 :]


def _vowels_repeated(word: str) -> str:
    return "".join(char * 4 if char in _VOWELS else char for char in word)


def _starred(word: str) -> str:
    """One inner vowel becomes a star."""
    for place, char in enumerate(word):
        if place and char in _VOWELS and place < len(word) - 1:
            return f"{word[:place]}*{word[place + 1 :]}"
    return word


def _swapped(word: str) -> str:
    """The two letters in the middle, or the first two unlike ones after it, change places."""
    for place in range(len(word) // 2 - 1, len(word) - 2):
        if word[place] != word[place + 1] and word[place : place + 2].isalpha():
            return f"{word[:place]}{word[place + 1]}{word[place]}{word[place + 2 :]}"
    return word


def _letter_missing(word: str) -> str:
    place = len(word) // 2
    return word[:place] + word[place + 1 :]


def _tags(word: str) -> str:
    return "".join(chr(0xE0000 + ord(char)) if char.isascii() else char for char in word)


def _base64(word: str) -> str:
    return base64.b64encode(word.encode()).decode()


def _morse(word: str) -> str:
    plain = unicodedata.normalize("NFD", word.lower()).replace("ß", "ss")
    return " ".join(_MORSE[char] for char in plain if char in _MORSE)


WAYS = (
    Way("upper case", str.upper),
    Way("alternating case", _alternating),
    Way("spaces", _between(" "), least=4),
    Way("dots", _between(".")),
    Way("hyphens", _between("-")),
    Way("underscores", _between("_")),
    Way("slashes", _between("/")),
    Way("emoji between", _between("🔥")),
    Way("line breaks", _between("\n"), least=4),
    Way("hyphen and line break", _in_the_middle("-\n"), least=8),
    Way("torn in two", _in_the_middle(" "), least=8),
    Way("soft hyphens", _between(SOFT_HYPHEN)),
    Way("zero width", _between(ZERO_WIDTH_SPACE)),
    Way("joiners", _between(WORD_JOINER + GRAPHEME_JOINER)),
    Way("digits", _by(_DIGITS)),
    Way("symbols", _by(_SYMBOLS)),
    Way("a star", _starred, innocent=False),
    Way("Cyrillic", _by(_CYRILLIC)),
    Way("Greek", _by(_GREEK)),
    Way("small capitals", _by(_SMALL_CAPITALS)),
    Way("full width", _shifted(0xFF21, 0xFF41)),
    Way("mathematical", _shifted(0x1D400, 0x1D41A)),
    Way("circled", _shifted(0x24B6, 0x24D0)),
    Way("squared", _shifted(0x1F130, 0x1F130)),
    Way("combining marks", _after("\u0336\u0301")),
    Way("false umlauts", _by(_UMLAUTS)),
    Way("accents", _by(_ACCENTS)),
    Way("repeated vowels", _vowels_repeated),
    Way("repeated letters", lambda word: "".join(char * 3 for char in word)),
    Way("tag characters", _tags),
    Way("backwards", lambda word: word[::-1], least=7),
    Way(
        "turned by control",
        lambda word: f"{RIGHT_TO_LEFT}{word[::-1]}{POP_DIRECTION}",
        least=7,
    ),
    Way("letters swapped", _swapped, least=8),
    Way("a letter missing", _letter_missing, least=9),
    Way("ROT13", lambda word: codecs.encode(word, "rot13"), readable=False),
    Way("Base64", _base64, readable=False),
    Way("Morse", _morse, readable=False),
    Way("upside down", lambda word: word.lower().translate(_UPSIDE_DOWN)[::-1], readable=False),
)
