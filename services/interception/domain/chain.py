"""The languages of a chain of translations ("stille Post"). Pure.

Every pass is a call of its own and remembers nothing, so each language must follow from the seed
and the pass alone. The languages of the passes before the last are drawn without repetition; the
last pass goes into the target.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.interception.domain.draw import Draw

# Where a chain may end: the languages our recipes and safety lists are written in.
TARGETS = ("de", "en")


def target_of(language: str) -> str:
    """Where a chain ends: the language of the person's text if it is a target, else English."""
    return language if language in TARGETS else "en"


def next_language(
    pool: Sequence[str], seed: int, passes: int, number: int, origin: str, current: str
) -> str:
    """Into which language pass `number` (from 1) translates.

    `origin` is the language of the person's text, as the caller knows it; `current` that of the
    text to translate. The two targets are never stations on the way, so the last pass always
    changes the language. The answer differs from `current` unless the text is already in the
    target at the last pass.
    """
    if number >= passes:
        return target_of(origin)
    drawn = Draw("chain", seed).shuffled([each for each in pool if each not in TARGETS])
    station = drawn[(number - 1) % len(drawn)]
    if station != current:
        return station
    # Only where the text came in this language: the first of the rest that is not a station soon.
    spare = [each for each in drawn[passes - 1 :] if each != current]
    return spare[0] if spare else drawn[number % len(drawn)]
