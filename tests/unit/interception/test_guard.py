from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.interception.domain.guard import capped, checked, leaks
from services.interception.domain.markup import without_control
from services.interception.domain.refusals import is_refusal
from services.interception.domain.thoughts import ThoughtFilter, after_thoughts
from services.kit.errors import FailedPrecondition
from services.kit.text import MAX_TEXT_BYTES, MAX_TEXT_CHARACTERS

CONTEXT = (
    "Take the idea of the person apart into its words and things and put it together again by "
    "other laws: chance, montage, wrong scale. Do not explain, do not resolve."
)


def filtered(*pieces: str) -> str:
    thoughts = ThoughtFilter()
    return "".join(thoughts.feed(piece) for piece in pieces) + thoughts.end()


def test_a_thought_is_taken_out_wherever_the_pieces_are_cut() -> None:
    text = "Ein <think>geheim < und > noch</think>Satz <3"
    for cut in range(len(text)):
        for other in range(cut, len(text)):
            assert filtered(text[:cut], text[cut:other], text[other:]) == "Ein Satz <3"


def test_tags_are_found_in_any_case_and_kind() -> None:
    assert filtered("<THINK>a</Think>b<thinking>c</thinking>d") == "bd"


def test_letters_that_get_longer_in_lower_case_shift_nothing() -> None:
    assert filtered("İİ<THINK>İİİ</THINK>İstanbul") == "İİİstanbul"
    assert after_thoughts("İİ no</think>İstanbul") == "İstanbul"


def test_an_unfinished_thought_shows_nothing() -> None:
    assert filtered("<think>it goes on") == ""


@given(st.lists(st.text(alphabet="ab<>/think ", max_size=8), max_size=8))
def test_a_filter_invents_nothing_and_keeps_the_order(pieces: list[str]) -> None:
    shown = iter(filtered(*pieces))
    rest = next(shown, None)
    for letter in "".join(pieces):
        if letter == rest:
            rest = next(shown, None)
    assert rest is None


def test_control_characters_go_and_line_breaks_stay() -> None:
    assert without_control("a\x00b\x1bc\n\td\x7f\ufeff\ud800") == "abc\n\td"


@pytest.mark.parametrize("text", ["a" * 30_000, "💩" * 20_000, "wort " * 10_000, "ä" * 20_000])
def test_a_long_text_is_cut_within_both_limits(text: str) -> None:
    cut = capped(text)
    assert len(cut) <= MAX_TEXT_CHARACTERS
    assert len(cut.encode()) <= MAX_TEXT_BYTES
    assert text.startswith(cut)
    assert len(cut.encode()) > MAX_TEXT_BYTES - 2_000 or len(cut) > MAX_TEXT_CHARACTERS - 300


def test_words_are_not_cut_in_two() -> None:
    assert capped("wortwort " * 5_000).endswith("wortwort")


@pytest.mark.parametrize(
    "text", ["", " \n ", "\u200b", "</think>", "<think>x</think>\n", "<|im_end|>"]
)
def test_an_answer_without_text_is_its_own_outcome(text: str) -> None:
    visible = filtered(text)
    with pytest.raises(FailedPrecondition) as caught:
        checked(visible, CONTEXT)
    assert caught.value.reason == "LLM_EMPTY_OUTPUT"


def test_a_thought_that_was_never_opened_is_taken_out() -> None:
    assert checked("I should write.</think>\nEin Satz.", CONTEXT).text == "Ein Satz."


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I cannot help with this.",
        "Sorry, I can't do that.",
        "I cannot fulfill this request.",
        "I can't help with that.",
        "As an AI language model, I don't have feelings.",
        "Unfortunately, I am unable to continue.",
        "Es tut mir leid, aber dabei kann ich dir nicht helfen.",
        "Tut mir leid, ich kann diese Anfrage nicht erfüllen.",
        "Leider kann ich Ihnen dabei nicht weiterhelfen.",
        "Das kann ich leider nicht schreiben.",
        "Als KI kann ich das nicht tun.",
        "Als Sprachmodell habe ich keine Meinung.",
    ],
)
def test_refusals_are_recognised(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ein Hund im Regen, der nicht helfen kann.",
        "I am a robot, and the rain can't reach me.",
        "Sorry seems to be the hardest word, sings the toaster.",
        "Leider regnet es, und die Blume ist nicht zu sehen.",
        "Es tut mir leid, sagte der Regen zur Blume, und hörte nicht auf.",
        "I can't see the moon, said the flat-iron.",
        "Ich kann nicht schwimmen, ruft der Stein.",
        "A machine that says: I cannot help. " * 30,
    ],
)
def test_stories_about_refusing_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)


def test_repeated_instructions_are_a_leak_in_any_case_and_punctuation() -> None:
    assert leaks(CONTEXT, CONTEXT)
    assert leaks("Sure! " + CONTEXT.upper().replace(",", " "), CONTEXT)
    assert leaks(" ".join(CONTEXT.split()[3:22]), CONTEXT)


def test_a_few_words_in_common_are_no_leak() -> None:
    assert not leaks("A montage of chance and wrong scale: a dog, a funnel, the rain.", CONTEXT)


def test_what_the_person_wrote_may_come_back() -> None:
    assert not leaks(CONTEXT, CONTEXT, CONTEXT)


def test_a_long_answer_is_checked_in_linear_time() -> None:
    text = "wort " * 4_000
    assert checked(text, CONTEXT).text == text.strip()
