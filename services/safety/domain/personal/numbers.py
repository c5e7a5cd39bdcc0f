"""Numbers that belong to one person: accounts, cards, tax and insurance. Pure, linear.

Most carry check digits, which `stdnum` knows; those that do not have to be called by their name.
"""

from __future__ import annotations

import re

from stdnum import iban, luhn
from stdnum.ch import ssn as swiss_insurance
from stdnum.de import idnr as german_tax
from stdnum.tr import tckimlik as turkish_identity
from stdnum.us import ssn as us_insurance

from services.safety.domain.personal.contact import Spans, is_counting

_IBAN = re.compile(
    r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?!\w)", re.IGNORECASE
)
_CARD = re.compile(r"(?<![\w.,-])[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,4}(?![\w.,-]?\d)")
_ELEVEN = re.compile(r"(?<![\w.,-])\d{2,3}(?: ?\d{3}){2,3}(?: ?\d{1,3})?(?![\w.,-]?\d)")
_US = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_SWISS = re.compile(r"(?<!\w)756\.?\d{4}\.?\d{4}\.?\d{2}(?!\w)")
# Area, birthday, the first letter of the name at birth, a number and a check digit.
_GERMAN_INSURANCE = re.compile(r"(?<!\w)\d{2} ?[0-3]\d[01]\d\d{2} ?[A-Z] ?\d{2} ?\d(?!\w)")
_CALLED = re.compile(
    r"\b(?:personalausweis\w*|ausweis(?:nummer)?|reisepass\w*|passnummer|passport(?: number| no)?|"
    r"id card|identity card|kontonummer|account number|sozialversicherungsnummer|steuer-?id)\b"
    r"[^\w\n]{0,3}(?:ist|is|lautet|nr|no|number)?[^\w\n]{0,3}"
    r"(?P<number>(?=[A-Z0-9 ]{0,14}\d)[A-Z0-9](?: ?[A-Z0-9]){6,13})\b",
    re.IGNORECASE,
)


def ibans(text: str) -> Spans:
    """Yield where account numbers after ISO 13616 stand."""
    for found in _IBAN.finditer(text):
        if iban.is_valid(found[0], check_country=False):
            yield found.span()


def card_numbers(text: str) -> Spans:
    """Yield where numbers of payment cards stand."""
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        if len(digits) >= 13 and not is_counting(digits) and luhn.is_valid(digits):
            yield found.span()


def identity_numbers(text: str) -> Spans:
    """Yield where numbers of tax, insurance and identity cards stand."""
    for found in _ELEVEN.finditer(text):
        digits = found[0].replace(" ", "")
        if len(digits) == 11 and (german_tax.is_valid(digits) or turkish_identity.is_valid(digits)):
            yield found.span()
    for pattern, is_valid in ((_US, us_insurance.is_valid), (_SWISS, swiss_insurance.is_valid)):
        yield from (found.span() for found in pattern.finditer(text) if is_valid(found[0]))
    yield from (found.span() for found in _GERMAN_INSURANCE.finditer(text))
    for found in _CALLED.finditer(text):
        if sum(character.isdigit() for character in found["number"]) >= 5:
            yield found.span("number")
