"""What children type, and what they must not get; and that form never changes a verdict."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.safety.domain.levels import Level, Purpose
from services.safety.domain.verdict import Verdict
from tests.unit.safety.support import FORBIDDEN, HARMLESS, check

PUNCTUATION = [".", "!", "?", "…", ",", ";", ":", " –", "!!!", ")", '"', "“", "»", "。"]
SPACES = [" ", "  ", "\n", "\t", "\u00a0", "\u2003", " \n "]
JOINTS = ["-", "–", "_", ".", "/", "·"]
UNSEEN = ["\u200b", "\u00ad", "\u2060", "\ufe0f", "\U000e0041", "\u034f"]


def judged(text: str) -> Verdict:
    return asyncio.run(check(text))


@pytest.mark.parametrize(("topic", "text"), HARMLESS)
async def test_harmless_sentences_are_safe_for_kids(topic: str, text: str) -> None:
    for purpose in Purpose:
        verdict = await check(text, purpose=purpose)
        # The one about history may be typed, but no sign is drawn for children.
        drawn = purpose in (Purpose.MEDIA_PROMPT, Purpose.CODE) and verdict.codes
        assert verdict.blocked == bool(drawn), (purpose, verdict.rule, verdict.terms)


@pytest.mark.parametrize(("category", "text"), FORBIDDEN)
async def test_forbidden_sentences_are_blocked_for_kids(category: str, text: str) -> None:
    verdict = await check(text)
    assert verdict.blocked
    assert category in verdict.codes
    assert verdict.rule.startswith("kids.")
    assert verdict.terms
    assert verdict.explanation
    assert verdict.suggestion


@pytest.mark.parametrize(("category", "text"), FORBIDDEN)
async def test_a_stricter_level_never_lets_pass_what_a_laxer_one_blocks(
    category: str, text: str
) -> None:
    blocked = [(await check(text, level)).blocked for level in Level]
    assert blocked == sorted(blocked, reverse=True)


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("purpose", list(Purpose))
async def test_some_things_are_refused_at_every_level(level: Level, purpose: Purpose) -> None:
    for category in ("sexualised_minors", "mass_harm"):
        for _, text in (found for found in FORBIDDEN if found[0] == category):
            verdict = await check(text, level, purpose)
            assert verdict.blocked
            assert verdict.rule == f"{level.label}.{category}"


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(HARMLESS) >= 150
    assert len(FORBIDDEN) >= 60
    texts = [text for _, text in HARMLESS + FORBIDDEN]
    assert len(set(texts)) == len(texts)


def same_verdict(text: str, written: str) -> None:
    before, after = judged(text), judged(written)
    assert (before.blocked, before.rule) == (after.blocked, after.rule), written


# Addresses and numbers are made of punctuation; changing it makes other ones.
PLAIN = [text for topic, text in HARMLESS + FORBIDDEN if topic != "personal_data"]
BLOCKED = [text for topic, text in FORBIDDEN if topic != "personal_data"]
several = settings(max_examples=120, deadline=None)


@several
@given(st.sampled_from(PLAIN), st.sampled_from(PUNCTUATION), st.sampled_from(PUNCTUATION))
def test_punctuation_never_changes_a_verdict(text: str, first: str, last: str) -> None:
    same_verdict(text, f"{text}{last}")
    same_verdict(text, f"{first}{text}{last}")


@several
@given(st.sampled_from(PLAIN), st.data())
def test_case_never_changes_a_verdict(text: str, data: st.DataObject) -> None:
    upper = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    same_verdict(
        text, "".join(c.upper() if up else c.lower() for c, up in zip(text, upper, strict=True))
    )


@several
@given(st.sampled_from(PLAIN), st.sampled_from(SPACES))
def test_spacing_between_words_never_changes_a_verdict(text: str, space: str) -> None:
    same_verdict(text, f"{space}{space.join(text.split())}{space}")


@several
@given(st.sampled_from(PLAIN), st.sampled_from(JOINTS))
def test_hyphens_between_words_never_change_a_verdict(text: str, joint: str) -> None:
    same_verdict(text, joint.join(text.split()))


@several
@given(st.sampled_from(BLOCKED), st.data())
def test_a_hyphen_within_a_word_never_saves_it(text: str, data: st.DataObject) -> None:
    places = [i for i in range(1, len(text)) if text[i - 1].isalpha() and text[i].isalpha()]
    assume(places)
    place = data.draw(st.sampled_from(places))
    joint = data.draw(st.sampled_from(["-", "\u00ad", "-\n", ".", "_"]))
    assert judged(f"{text[:place]}{joint}{text[place:]}").blocked


@several
@given(st.sampled_from(PLAIN), st.sampled_from(UNSEEN), st.data())
def test_what_cannot_be_seen_never_changes_a_verdict(
    text: str, unseen: str, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(text)))
    same_verdict(text, f"{text[:place]}{unseen}{text[place:]}")
