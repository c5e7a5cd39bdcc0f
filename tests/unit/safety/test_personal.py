"""Personal data by patterns, and the numbers that are none."""

from __future__ import annotations

import pytest

from services.safety.domain.levels import Level, Purpose
from tests.unit.safety.support import check, safety
from tests.unit.safety.test_normalize import best_of


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
        ("folge mir auf insta: anna.mal", "folge mir auf insta: anna.mal"),
        ("mein Passwort ist Krokodil7", "Krokodil7"),
        ("Handy 1712345678", "1712345678"),
        (
            "null eins sieben eins, zwei drei vier fünf",
            "null eins sieben eins, zwei drei vier fünf",
        ),
        ("4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("65 170839 J 003", "65 170839 J 003"),
        ("756.9217.0769.85", "756.9217.0769.85"),
        ("Mein Ausweis: L01X00T471", "L01X00T471"),
        ("Ich wohne in der Lindenstraße 12 in Köln", "Lindenstraße 12"),
        ("Hauptstr. 5a, 12345 Berlin", "Hauptstr. 5a"),
        ("Berliner Straße 7", "Berliner Straße 7"),
        ("Am Bach 3, 12345 Musterdorf", "Am Bach 3"),
        ("meine Adresse: Goetheplatz 3", "Goetheplatz 3"),
        ("42 Maple Avenue", "42 Maple Avenue"),
        ("i live at 12 oak street", "12 oak street"),
        ("Ich heiße Anna Meier und male", "Anna Meier"),
        ("my name is anna smith", "anna smith"),
        ("ich heiße lena von der heide", "lena von der heide"),
        ("mein bester Freund Jonas Becker als Held", "Jonas Becker"),
        ("Meine Lehrerin Frau Schmidt als Hexe", "Schmidt"),
        ("our headteacher Mr Brown as a pirate", "Brown"),
        ("ich gehe in die 5c der Goethe-Schule", "Goethe-Schule"),
        ("Klasse 7b am Albert-Schweitzer-Gymnasium", "Albert-Schweitzer-Gymnasium"),
        ("I go to Lincoln High School", "Lincoln High School"),
    ],
)
def test_personal_data_is_found_as_it_stands(text: str, found: str) -> None:
    assert found in safety().personal.find(text)


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
        "eins zwei drei vier fünf sechs sieben acht",
        "Die Zahl Pi ist 3,14159265358979",
        "4111 1111 1111 1112",
        "Platz 1 im Rennen",
        "Heimweg um 7 Uhr",
        "Die Straße 2050 in der Zukunft",
        "Route 66",
        "Wir malen in Klasse 4a einen Elefanten",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert safety().personal.find(text) == []


@pytest.mark.parametrize("level", list(Level))
async def test_personal_data_is_kept_from_models_for_minors(level: Level) -> None:
    verdict = await check("Meine Nummer ist 0171 2345678", level, Purpose.INPUT)
    assert verdict.blocked == (level <= Level.YOUTH)
    assert any(found.startswith("personal_data:") for found in verdict.checks) == verdict.blocked


@pytest.mark.parametrize(
    "text",
    [
        "Karl Meier malt einen Baum",
        "Hans im Glück",
        "Mein Freund Harry Potter fliegt auf einem Besen",
        "meine Lehrerin Frau Holle schüttelt die Betten",
        "Ich bin Lisa Simpson",
        "Ich heiße Anna und male gern",
        "ich heiße anna und bin 9",
        "Ich bin Pirat Rotbart",
        "I'm Max and I like dogs",
        "mein Bruder Tom spielt Fußball",
        "meine Oma Erna backt Kuchen",
        "Sherlock Holmes in der Baker Street 221b",
        "Ligusterweg 4",
        "ich gehe nach Hogwarts in die Zauberschule, Klasse 3",
        "Eine Zauberschule im Wald, Klasse 3b",
        "die Tanzschule im Hof 3",
    ],
)
def test_persons_and_places_of_stories_are_free(text: str) -> None:
    assert safety().personal.find(text) == []


@pytest.mark.parametrize(
    "piece",
    [
        "mein freund ",
        "ich heiße anna ",
        "Am Bach 3, ",
        "eins ",
        "Aa-",
        "(at) ",
        "1234 ",
        "@",
        "Aa ",
    ],
)
def test_time_is_linear_in_the_length(piece: str) -> None:
    find = safety().personal.find
    short, long = (piece * 2_500)[:2_500], (piece * 20_000)[:20_000]
    find(short)
    # Eight times the text: linear is 8, quadratic 64.
    ratio = best_of(3, lambda: find(long)) / max(best_of(3, lambda: find(short)), 5e-4)
    assert ratio < 28, ratio
