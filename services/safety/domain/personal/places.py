"""Where somebody lives: a street with a number. Pure, linear.

Numbers are looked at first, then the words beside them. A street is a word that ends like one, or
stands before Street, Road and the like; what only might be a street (Platz, Ring, Hof) needs a
postal code or a word for living near it. Addresses of stories and of the world's sights are none of
anybody here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from services.safety.domain.personal.contact import Spans

NEAR_CHARACTERS = 40

_NUMBER = re.compile(r"(?<![\w.,])\d{1,5}(?: ?[a-h](?!\w))?(?![\w]|[.,]\d)")
# What may stand before a number, up to it.
_STREET = re.compile(
    r"(?<!\w)(?:[A-ZÄÖÜ][\wäöüß]{1,20}[ -]){0,2}"
    r"[A-Za-zÄÖÜäöüß]{2,30}(?:straße|strasse|str\.|gasse|allee|chaussee|weg|damm|ufer|stieg) {0,2}$"
    r"|(?<!\w)[A-ZÄÖÜ][\wäöüß]{2,25}[ -](?:Straße|Strasse|Str\.|Allee|Chaussee|Weg|Damm|Ufer) $"
)
_WITH_POSTAL_CODE = re.compile(
    r"(?<!\w)(?:Am|An der|Auf der|Auf dem|Im|In der|Zum|Zur) [A-ZÄÖÜ][\wäöüß]{2,20} $"
)
_MAYBE = re.compile(r"(?<!\w)[A-ZÄÖÜa-zäöüß][\wäöüß]{2,25}(?:platz|ring|hof|markt|graben|pfad) $")
# What may stand after one, from it on.
_ENGLISH = re.compile(
    r" (?:(?:north|south|east|west|[A-Z][a-z]{2,15}|\d{1,3}(?:st|nd|rd|th)) ){1,3}"
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Boulevard|Blvd|Close|Crescent|Terrace|Court|"
    r"Grove|Gardens|Mews|Way|Square)\b"
)
_ENGLISH_SMALL = re.compile(
    r" (?:[a-z]{2,15} ){1,3}(?:street|st|road|rd|avenue|ave|lane|drive|close|court|grove|"
    r"gardens|way|square)\b",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"\b(?:i live at|my address is|our address is|we live at)[: ]{0,2}$", re.IGNORECASE
)
_LIVING = re.compile(
    r"\b(?:wohn\w*|adresse|anschrift|zuhause|zu hause|daheim|live|address)\b", re.IGNORECASE
)
_POSTAL = re.compile(r"(?<!\d)\d{4,5} [A-ZÄÖÜ][a-zäöüß]{2,}")
_POSTAL_AFTER = re.compile(r",? {0,2}\d{4,5} [A-ZÄÖÜ]")
# Numbers that are read as years stand after many words: "die Straße 2050".
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d|2[1-9]\d\d")


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses that belong to nobody here are `famous`, in lower case with single spaces."""

    famous: Collection[str]

    def addresses(self, text: str) -> Spans:
        """Yield where a street with a number stands."""
        for number in _NUMBER.finditer(text):
            span = self._before(text, number) or self._after(text, number)
            if span and " ".join(text[slice(*span)].lower().split()) not in self.famous:
                yield span

    def _before(self, text: str, number: re.Match[str]) -> tuple[int, int] | None:
        start, end = number.span()
        if _YEAR.fullmatch(number[0]) or len(number[0]) > 6:
            return None
        begin = max(0, start - NEAR_CHARACTERS)
        before, after = text[begin:start], text[end : end + NEAR_CHARACTERS]
        found = _STREET.search(before)
        if found is None and _POSTAL_AFTER.match(after):
            found = _WITH_POSTAL_CODE.search(before)
        if found is None:
            found = _MAYBE.search(before)
            if found is not None and not (_LIVING.search(before) or _POSTAL.search(after)):
                return None
        return None if found is None else (begin + found.start(), end)

    def _after(self, text: str, number: re.Match[str]) -> tuple[int, int] | None:
        start, end = number.span()
        after = text[end : end + NEAR_CHARACTERS + 20]
        found = _ENGLISH.match(after)
        if found is None and _SAID.search(text[max(0, start - NEAR_CHARACTERS) : start]):
            found = _ENGLISH_SMALL.match(after)
        return None if found is None else (start, end + found.end())
