"""Personal data by patterns: e-mail, telephone, IBAN, account names. Pure, local, linear.

Every pattern is bounded, so a long text costs no more than its length times a constant. Numbers
that are something else are passed over: years, dates, sizes, counting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.safety.domain.normalize import visible

VERSION = "1"
MIN_PHONE_DIGITS, MAX_PHONE_DIGITS = 7, 15
MIN_ABROAD_DIGITS = 8

_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64} ?(?:@|[(\[] ?(?:at|ät) ?[)\]]) ?"
    r"[\w-]{1,63}(?:(?:\.| ?[(\[] ?(?:dot|punkt) ?[)\]] ?)[\w-]{1,63}){1,4}",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.,+])(?:\+ ?)?\(?\d[\d ()/.\-]{5,22}\d(?![\w])")
_IBAN = re.compile(
    r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?!\w)", re.I
)
_HANDLE = re.compile(r"(?<![\w@.])@[A-Za-z][\w.]{2,29}")
_ACCOUNT = re.compile(
    r"(?<!\w)(?:mein|meine|my)\s{1,3}(?:insta|instagram|snap|snapchat|tiktok|discord|whatsapp)"
    r"(?:[ -]?(?:name|account|handle|nummer|number))?\s{0,3}(?:ist|is|heißt|lautet|:)\s{0,3}"
    r"[\w.#]{3,40}",
    re.IGNORECASE,
)
_US_NUMBER = re.compile(r"\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}")
_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")
_DECIMAL = re.compile(r"\+ ?\d\.\d+")
_ASCENDING = "01234567890123456789"


def find_personal_data(text: str) -> list[str]:
    """Return what looks like personal data, as it stands in the text, in order."""
    plain, origin = visible(text)
    found: list[tuple[int, int]] = []
    for kind in (_emails, _phones, _ibans, _accounts):
        found.extend(kind(plain))
    return [text[origin[start] : origin[end - 1] + 1] for start, end in sorted(set(found))]


Spans = Iterator[tuple[int, int]]


def _emails(text: str) -> Spans:
    if "@" in text or "(" in text or "[" in text:
        yield from (found.span() for found in _EMAIL.finditer(text))


def _accounts(text: str) -> Spans:
    yield from (found.span() for found in _HANDLE.finditer(text))
    yield from (found.span() for found in _ACCOUNT.finditer(text))


def _ibans(text: str) -> Spans:
    for found in _IBAN.finditer(text):
        if _has_iban_checksum(re.sub(r"[ -]", "", found[0]).upper()):
            yield found.span()


def _has_iban_checksum(iban: str) -> bool:
    """ISO 13616: letters as numbers from 10, the first four characters last, modulo 97 is 1."""
    if not (15 <= len(iban) <= 34 and iban.isascii()):
        return False
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def _phones(text: str) -> Spans:
    for found in _NUMBER.finditer(text):
        if _is_phone(found[0]):
            yield found.span()


def _is_phone(text: str) -> bool:
    groups = re.findall(r"\d+", text)
    digits = "".join(groups)
    if not MIN_PHONE_DIGITS <= len(digits) <= MAX_PHONE_DIGITS:
        return False
    # Counting, alone or with spaces, a date, a range of years, a decimal number.
    if digits in _ASCENDING or digits in _ASCENDING[::-1] or len(set(digits)) == 1:
        return False
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
    return digits[0] == "0" and digits[1] != "0"
