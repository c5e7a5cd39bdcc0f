"""Personal data by patterns, and the numbers that are none."""

from __future__ import annotations

import pytest

from services.safety.domain.levels import Level, Purpose
from services.safety.domain.personal import find_personal_data
from tests.unit.safety.support import check


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Schreib mir: anna.meier@example.org!", "anna.meier@example.org"),
        ("anna (at) example (dot) org", "anna (at) example (dot) org"),
        ("anna＠example.org", "anna＠example.org"),
        ("an\u200bna@example.org", "an\u200bna@example.org"),
        ("Ruf an: 0171 2345678", "0171 2345678"),
        ("0171/234 56 78", "0171/234 56 78"),
        ("+49 30 1234567", "+49 30 1234567"),
        ("+4930 1234567.", "+4930 1234567"),
        ("0049 30 1234567", "0049 30 1234567"),
        ("(030) 1234 567", "(030) 1234 567"),
        ("call 555-123-4567 now", "555-123-4567"),
        ("DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
        ("de89370400440532013000", "de89370400440532013000"),
        ("@anna.malt ist mein Name", "@anna.malt"),
        ("Mein Insta ist anna_malt_2014", "Mein Insta ist anna_malt_2014"),
        ("my snapchat name is anna.draws", "my snapchat name is anna.draws"),
    ],
)
def test_personal_data_is_found_as_it_stands(text: str, found: str) -> None:
    assert found in find_personal_data(text)


@pytest.mark.parametrize(
    "text",
    [
        "1024x1024",
        "1024 x 1024 Pixel",
        "4.2.1999",
        "geboren am 04.02.1999",
        "2024-12-24",
        "1914-1918 und 1939-1945",
        "1 2 3 4 5 6 7 8 9 10",
        "0123456789",
        "0 1 2 3 4 5 6 7 8",
        "1.000.000 Sterne",
        "3,14159265358979",
        "0.333333333",
        "10 000 000 Ameisen",
        "00000000",
        "Punkt 12:30 Uhr bis 14:45 Uhr",
        "DE12 3456 7890 1234 5678 90",
        "Um 5 @ home",
        "2 + 2 = 4",
        "Seite 123-456",
        "Das kostet 12.345.678,90 Euro",
        "12345 Berlin",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert find_personal_data(text) == []


@pytest.mark.parametrize("level", list(Level))
async def test_personal_data_is_kept_from_models_for_minors(level: Level) -> None:
    verdict = await check("Meine Nummer ist 0171 2345678", level, Purpose.INPUT)
    assert verdict.blocked == (level <= Level.YOUTH)
    assert any(found.startswith("personal_data:") for found in verdict.checks) == verdict.blocked


async def test_names_are_not_recognised_yet() -> None:
    # Decided in docs/safety.md: guessing at names would block "Hans im Glück".
    assert not (await check("Karl Meier malt einen Baum")).blocked
