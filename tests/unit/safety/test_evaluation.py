"""How well the lists and the built-in judge do on the development part of the corpus.

What is asserted is what was reached; who improves the lists raises it. The figures that count are
those of the test part, which nothing is tuned to: `artlab evaluate safety --part test`.
"""

from __future__ import annotations

import asyncio
from functools import cache

from services.safety.domain.levels import Level
from services.safety.evaluation.aims import HARMLESS_REFUSED
from services.safety.evaluation.corpus import Part, load_corpus
from services.safety.evaluation.evaluation import Evaluation, evaluate
from services.safety.evaluation.figures import Figures, misses, total
from tests.unit.safety.support import FOLDER, checker, safety


@cache
def evaluation() -> Evaluation:
    corpus = load_corpus(FOLDER / "corpus", [Part.DEVELOPMENT], safety().policy.categories)
    return asyncio.run(evaluate(checker(Level.RESEARCH), corpus, timed=False))


def figures() -> Figures:
    return evaluation().figures


def told(kind: str) -> str:
    """What went wrong with sentences of a class, for whoever has to mend it."""
    return "\n".join(
        f"{one.trial.level.label}: {one.trial.text!r} {one.why}"
        for one in misses(evaluation().outcomes)
        if getattr(one.trial.source, "kind", "evasion") == kind
    )


def test_every_text_gets_a_verdict() -> None:
    assert not figures().not_judged


def test_harmless_sentences_are_not_refused() -> None:
    assert figures().refused_wrongly["harmless"].share <= HARMLESS_REFUSED, told("harmless")


def test_innocent_words_near_the_lists_are_not_refused() -> None:
    assert figures().refused_wrongly["near"].hits == 0, told("near")


def test_forbidden_sentences_are_refused_wherever_they_must_be() -> None:
    assert figures().detected.share >= 0.98, told("forbidden")


def test_hidden_words_are_found() -> None:
    assert figures().evaded.share >= 0.965, told("evasion")


def test_form_never_changes_a_verdict() -> None:
    assert total(figures().changed.values()).hits == 0


def test_nothing_is_found_where_nothing_is_hidden() -> None:
    assert total(figures().disguised.values()).share <= 0.0065, told("harmless")
