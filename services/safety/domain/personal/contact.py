"""How to reach a person: e-mail, telephone, accounts and their passwords. Pure, linear.

Telephone numbers are judged by the numbering plans of the `phonenumbers` library. Numbers that are
something else are passed over: years, dates, sizes, counting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import phonenumbers

from services.safety.domain.personal.words import Word

Spans = Iterator[tuple[int, int]]

MIN_PHONE_DIGITS, MAX_PHONE_DIGITS = 7, 15
MIN_ABROAD_DIGITS = 8
# Whose plans a number without a country code is read by.
REGIONS = ("DE", "AT", "CH", "US", "GB", "FR", "ES", "TR", "UA", "KR")
# How far before a number the word may stand that says what it is.
NEAR_CHARACTERS = 24

_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64} ?(?:@|[(\[] ?(?:at|ät) ?[)\]]) ?"
    r"[\w-]{1,63}(?:(?:\.| ?[(\[] ?(?:dot|punkt) ?[)\]] ?)[\w-]{1,63}){1,4}",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.,+])(?:\+ ?)?\(?\d[\d ()/.\-]{5,22}\d(?![\w])")
_SAID = re.compile(
    r"\b(?:tel|telefon\w*|handy\w*|mobil\w*|nummer|whatsapp|anrufen|ruf\w* (?:mich )?an|erreichst|"
    r"phone|cell|mobile|number|call|text me)\b",
    re.IGNORECASE,
)
_DIGIT_WORDS = {
    "null": "0", "eins": "1", "ein": "1", "zwei": "2", "zwo": "2", "drei": "3", "vier": "4",
    "fünf": "5", "fuenf": "5", "sechs": "6", "sieben": "7", "acht": "8", "neun": "9",
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_HANDLE = re.compile(r"(?<![\w@.])@[A-Za-z][\w.]{2,29}")
_NETWORK = "insta|instagram|snap|snapchat|tiktok|discord|whatsapp|telegram|youtube|roblox|twitch"
_ACCOUNT = re.compile(
    rf"(?<!\w)(?:mein|meine|my)\s{{1,3}}(?:{_NETWORK})"
    r"(?:[ -]?(?:name|account|handle|nummer|number|kanal|channel))?"
    r"\s{0,3}(?:ist|is|heißt|lautet|:)\s{0,3}[\w.#]{3,40}"
    rf"|(?<!\w)(?:add|adde|folg|folge|folgt|follow|abonnier)\s{{1,3}}(?:mir|mich|me)\s{{1,3}}"
    rf"(?:auf|bei|on|at)\s{{1,3}}(?:{_NETWORK})\s{{0,3}}[:,]?\s{{0,3}}[\w.#]{{3,40}}",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"(?<!\w)(?:mein|meine|unser|my|our)\s{1,3}(?:passwort|kennwort|benutzername|pin|password|"
    r"passcode|username|user name)\s{0,3}(?:ist|is|lautet|:)\s{0,3}(?P<word>[^\s,;]{3,40})",
    re.IGNORECASE,
)
_US_NUMBER = re.compile(r"\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}")
_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")
_DECIMAL = re.compile(r"\+ ?\d\.\d+")
_ASCENDING = "01234567890123456789"


def emails(text: str) -> Spans:
    """Yield where e-mail addresses stand, also with the words at and dot in brackets."""
    if "@" in text or "(" in text or "[" in text:
        yield from (found.span() for found in _EMAIL.finditer(text))


def accounts(text: str) -> Spans:
    """Yield where names in networks stand, and what opens them."""
    yield from (found.span() for found in _HANDLE.finditer(text))
    yield from (found.span() for found in _ACCOUNT.finditer(text))
    yield from (found.span("word") for found in _SECRET.finditer(text))


def phones(text: str) -> Spans:
    """Yield where telephone numbers stand."""
    for found in _NUMBER.finditer(text):
        before = text[max(0, found.start() - NEAR_CHARACTERS) : found.start()]
        if _is_phone(found[0], said=_SAID.search(before) is not None):
            yield found.span()


def spelled_numbers(text: str, words: Sequence[Word]) -> Spans:
    """Yield where a number stands word by word; `words` are those of the text."""
    begin = 0
    while begin < len(words):
        end = begin
        while end < len(words) and words[end].lower in _DIGIT_WORDS:
            end += 1
        if MIN_PHONE_DIGITS <= end - begin <= MAX_PHONE_DIGITS:
            digits = "".join(_DIGIT_WORDS[word.lower] for word in words[begin:end])
            if not is_counting(digits):
                yield words[begin].start, words[end - 1].end
        begin = end + 1


def is_counting(digits: str) -> bool:
    """Whether digits only count up or down, or are all the same."""
    return digits in _ASCENDING or digits in _ASCENDING[::-1] or len(set(digits)) == 1


def _is_phone(text: str, *, said: bool) -> bool:
    groups = re.findall(r"\d+", text)
    digits = "".join(groups)
    if not MIN_PHONE_DIGITS <= len(digits) <= MAX_PHONE_DIGITS or is_counting(digits):
        return False
    # A date, a range of years, a decimal number.
    if max(map(len, groups)) < 2 or _DATE.fullmatch(text):
        return False
    if text.startswith("0.") or any(_DATE.search(part) for part in text.split()):
        return False
    if text.startswith(("+", "00")):
        # A country code, which never begins with 0; +3.14159265 is a number.
        country = digits.lstrip("0") if text[0] == "0" else digits
        return (
            country[0] != "0" and len(country) >= MIN_ABROAD_DIGITS and not _DECIMAL.fullmatch(text)
        )
    if _US_NUMBER.fullmatch(text):
        return True
    # A trunk prefix and something after it: 030 1234567, 0171/123 45 67
    if digits[0] == "0" and digits[1] != "0":
        return True
    return said and _is_possible(digits)


def _is_possible(digits: str) -> bool:
    for region in REGIONS:
        try:
            if phonenumbers.is_possible_number(phonenumbers.parse(digits, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False
