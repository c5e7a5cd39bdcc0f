"""One evaluation: a part of the corpus put to a checker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.safety.checker import TextChecker
from services.safety.domain.levels import Level
from services.safety.evaluation.aims import Aim, aims_of
from services.safety.evaluation.corpus import Corpus
from services.safety.evaluation.corpus_schema import PURPOSES
from services.safety.evaluation.figures import Figures, figures_of
from services.safety.evaluation.judging import Outcome, judge, time_long_texts
from services.safety.evaluation.trials import claims, disguises, evasions, forms


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of it."""

    outcomes: Sequence[Outcome]
    figures: Figures
    aims: Sequence[Aim]


async def evaluate(
    checker: TextChecker,
    corpus: Corpus,
    levels: Sequence[Level] = tuple(Level),
    *,
    timed: bool = True,
    models_at_once: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Judge the corpus at the levels; the checker's own level has to be as lax as the laxest.

    `models_at_once` says that a language model judges as well, and how many texts it takes at once.
    Then forms, disguises and long texts are left out: they ask about the lists, and take a model
    hours.
    `progress` is told how many trials of how many are done. A check that fails is counted, not
    raised.
    """
    trials = [*claims(corpus, levels, PURPOSES), *evasions(corpus, levels)]
    if not models_at_once:
        trials += forms(corpus, min(levels))
        trials += disguises(corpus, min(levels))
    outcomes = await judge(
        checker, trials, models_at_once or 1, lambda done: progress(done, len(trials))
    )
    long_texts = await time_long_texts(checker, corpus) if timed and not models_at_once else {}
    figures = figures_of(outcomes, long_texts)
    return Evaluation(outcomes, figures, aims_of(figures, by_a_model=bool(models_at_once)))
