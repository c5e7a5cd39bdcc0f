"""Putting trials to the checker that judges requests too, some at once, and timing it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.kit.errors import ArtlabError
from services.safety.checker import TextChecker, TextToCheck
from services.safety.domain.levels import Level, MediaKind, Purpose
from services.safety.evaluation.corpus import Corpus
from services.safety.evaluation.trials import Trial

log = logging.getLogger(__name__)

# Characters of the long texts that are timed.
LENGTHS = (5_000, 10_000, 20_000)
REPEATS = 5
STRIDE = 17


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial. `refused` is None when no verdict could be had; `why` says why.

    With a verdict, `why` is its rule and what was found in the text.
    """

    trial: Trial
    refused: bool | None
    why: str
    seconds: float


async def judge(
    checker: TextChecker,
    trials: Sequence[Trial],
    at_once: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Return the outcome of every trial, in their order.

    `progress` is told how many are done. A check that fails is an outcome; nothing is raised
    for it.
    """
    outcomes: dict[int, Outcome] = {}
    waiting = iter(enumerate(trials))

    async def work() -> None:
        for number, trial in waiting:
            outcomes[number] = await _judge(checker, trial)
            progress(len(outcomes))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return [outcomes[number] for number in range(len(trials))]


async def _judge(checker: TextChecker, trial: Trial) -> Outcome:
    # A renderer is always told what it is to make.
    kind = MediaKind.IMAGE if trial.purpose is Purpose.MEDIA_PROMPT else None
    request = TextToCheck(trial.text, trial.level, trial.purpose, trial.source.language, kind)
    start = time.perf_counter()
    try:
        verdict = await checker.check(request)
    except ArtlabError as error:
        return Outcome(trial, None, error.reason, time.perf_counter() - start)
    except Exception as error:
        # A defect of ours: the service answers nobody then either. It is counted, and told apart.
        log.error("a check broke: %r at %s", trial.text, trial.level.label, exc_info=error)
        return Outcome(trial, None, type(error).__name__, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    found = ", ".join(repr(term) for term in verdict.terms)
    why = f"{verdict.rule}: {found}" if verdict.blocked else ""
    return Outcome(trial, verdict.blocked, why, seconds)


async def time_long_texts(checker: TextChecker, corpus: Corpus) -> dict[tuple[str, int], float]:
    """Return by what a text is made of and its length the seconds it takes.

    Texts are sentences of the corpus one after another: harmless ones only, or all of them, which
    has something to be found in every fourth sentence. Others use the machine too: the best of five
    counts.
    """
    everything = [one.text for one in corpus.sentences]
    harmless = [one.text for one in corpus.sentences if one.kind == "harmless"]
    taken = {}
    for name, sentences in (("harmless", harmless), ("mixed", everything)):
        # From all files in turn, so that no part of it is of one class or language.
        text = " ".join(one for start in range(STRIDE) for one in sentences[start::STRIDE])
        text = text * (max(LENGTHS) // len(text) + 1)
        for length in LENGTHS:
            taken[name, length] = await _time(checker, text[:length])
    return taken


async def _time(checker: TextChecker, text: str) -> float:
    request = TextToCheck(text, Level.KIDS, Purpose.INPUT)
    best = math.inf
    for _ in range(REPEATS):
        start = time.perf_counter()
        await checker.check(request)
        best = min(best, time.perf_counter() - start)
    return best
