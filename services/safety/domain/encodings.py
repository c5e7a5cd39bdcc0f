"""Text that is written in another code: Base64, numbers, escapes, Morse, initials. Pure, linear.

What is decoded is read like any text, once; codes within codes are a judge's work. All patterns
are bounded or cannot backtrack.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

MIN_LETTERS = 4
MIN_LINES = 4

_BASE64 = re.compile(r"(?<![\w+/=-])[\w+/-]{6,20000}={0,2}(?![\w+/=])", re.ASCII)
_HEX = re.compile(r"(?<!\w)(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:;]?){4,10000}(?!\w)")
_BINARY = re.compile(r"(?<!\w)(?:[01]{7,8}[ ,]?){4,5000}(?!\w)")
_NUMBERS = re.compile(r"(?<![\w.,])(?:\d{1,3}[ ,;.\-]{1,2}){3,10000}\d{1,3}(?!\w)")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}|[\w.+-]){2,20000}", re.ASCII)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2}))")
_ESCAPES = re.compile(
    rf"(?:{_ESCAPE.pattern.replace('(', '(?:').replace('(?:?:', '(?:')}|\w){{2,20000}}"
)
_ENTITIES = re.compile(r"(?:&#?\w{1,8};|\w){2,20000}", re.ASCII)
_TAGGED = re.compile(r"\w{1,200}(?:</?\w{1,12} ?/?>\w{0,200}){1,2000}")
_TAG = re.compile(r"<[^<>]*>")
_DOTS, _DASHES = ".·•∙⋅●", "-–—−_"
_SIGN = f"[{re.escape(_DOTS + _DASHES)}]{{1,6}}"
_MORSE = re.compile(rf"(?<![^\s/|]){_SIGN}(?:[ /|\n]{{1,3}}{_SIGN}){{3,10000}}")
_MORSE_SIGNS = str.maketrans({**dict.fromkeys(_DOTS, "."), **dict.fromkeys(_DASHES, "-")})
_MORSE_LETTERS = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...-"
        " .-- -..- -.-- --.. .-.- ---. ..-- ----".split(),
        [*"abcdefghijklmnopqrstuvwxyzäöü", "ch"],
        strict=True,
    )
)
_LINE = re.compile(r"^[^\w\n]*(\w).*$", re.MULTILINE)


class Decoded(NamedTuple):
    """What characters `start` to `end` (exclusive) of a text say in another code."""

    start: int
    end: int
    text: str


def decode(text: str) -> Iterator[Decoded]:
    """Yield what is written in another code. Most texts have nothing of the kind."""
    for pattern, needed, read in _CODES:
        if all(sign in text for sign in needed):
            for found in pattern.finditer(text):
                decoded = read(found[0])
                if decoded and decoded != found[0] and _is_text(decoded):
                    yield Decoded(*found.span(), decoded)
    yield from _initials(text)


def _is_text(decoded: str) -> bool:
    letters = sum(map(str.isalpha, decoded))
    return letters >= MIN_LETTERS and all(c.isprintable() or c.isspace() for c in decoded)


def _bytes(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


def _base64(found: str) -> str:
    plain = found.rstrip("=").replace("-", "+").replace("_", "/")
    if len(plain) % 4 == 1:
        return ""
    try:
        return _bytes(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except binascii.Error:
        return ""


def _hex(found: str) -> str:
    digits = re.sub(r"0x|\\x|[ ,:;]", "", found)
    return _bytes(bytes.fromhex(digits)) if len(digits) % 2 == 0 else ""


def _binary(found: str) -> str:
    return "".join(chr(int(bits, 2)) for bits in re.findall(r"[01]{7,8}", found))


def _numbers(found: str) -> str:
    """Read numbers as characters (72 97), or as places in the alphabet (8 1)."""
    numbers = [int(number) for number in re.findall(r"\d+", found)]
    if all(1 <= number <= 26 for number in numbers):
        return "".join(chr(number + 96) for number in numbers)
    return "".join(map(chr, numbers)) if min(numbers) >= 32 and max(numbers) < 256 else ""


def _escapes(found: str) -> str:
    return _ESCAPE.sub(lambda m: _character(int(m[1] or m[2] or m[3], 16)), found)


def _character(code: int) -> str:
    return chr(code) if code < 0xD800 or 0xDFFF < code < 0x110000 else " "


def _percent(found: str) -> str:
    return _bytes(unquote_to_bytes(found))


def _morse(found: str) -> str:
    words = re.split(r" ?[/|\n] ?| {2,3}", found.translate(_MORSE_SIGNS))
    return " ".join("".join(_MORSE_LETTERS.get(c, ".") for c in word.split()) for word in words)


def _initials(text: str) -> Iterator[Decoded]:
    """Yield what the first letters of lines spell."""
    lines = list(_LINE.finditer(text))
    if len(lines) >= MIN_LINES:
        start, end = lines[0].start(1), lines[-1].start(1) + 1
        yield Decoded(start, end, "".join(line[1] for line in lines))


_CODES: tuple[tuple[re.Pattern[str], str, Callable[[str], str]], ...] = (
    (_BASE64, "", _base64),
    (_HEX, "", _hex),
    (_BINARY, "01", _binary),
    (_NUMBERS, "", _numbers),
    (_PERCENT, "%", _percent),
    (_ESCAPES, "\\", _escapes),
    (_ENTITIES, "&;", html.unescape),
    (_TAGGED, "<>", lambda found: _TAG.sub("", found)),
    (_MORSE, "", _morse),
)
