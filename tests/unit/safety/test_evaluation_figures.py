"""From outcomes to figures and aims."""

from __future__ import annotations

from services.safety.domain.levels import Level, Purpose
from services.safety.evaluation.aims import aims_of
from services.safety.evaluation.corpus import Claim, Corpus, Evasion, Part, Sentence
from services.safety.evaluation.corpus_schema import PURPOSES
from services.safety.evaluation.figures import Count, Figures, figures_of, misses, total
from services.safety.evaluation.hiding import WAYS
from services.safety.evaluation.judging import Outcome
from services.safety.evaluation.trials import Asked, Trial, claims, disguises, evasions, forms

FORBIDDEN = Sentence(
    Part.TEST, "cocaine", "en", "forbidden", Claim("drugs", Level.YOUTH, None), "drugs"
)
HARMLESS = Sentence(Part.TEST, "A dog", "en", "harmless", Claim())
PROVOCATIVE = Sentence(
    Part.TEST, "Zombies", "en", "provocative", Claim("horror", None, Level.YOUTH), "horror"
)
HIDING = Evasion(
    Part.TEST, "a swastika", "en", Claim("hate_symbols", Level.ADULT, None), word="swastika"
)
HIDDEN = Evasion(Part.TEST, "p0rn", "en", Claim("sexual_content", Level.YOUTH, None), way="digits")
CORPUS = Corpus((FORBIDDEN, HARMLESS, PROVOCATIVE), (HIDING, HIDDEN), "0" * 64)
LEVELS = list(Level)


def outcome(trial: Trial, refused: bool | None, seconds: float = 0.001) -> Outcome:
    return Outcome(trial, refused, "SAFETY_UNAVAILABLE" if refused is None else "", seconds)


def judged(trials: list[Trial], *refused: str) -> Figures:
    """All texts that are named are refused at every level."""
    return figures_of([outcome(trial, trial.text in refused) for trial in trials], {})


def test_a_sentence_is_put_wherever_something_is_claimed_of_it() -> None:
    found = [
        (trial.source, trial.level, trial.refused) for trial in claims(CORPUS, LEVELS, PURPOSES)
    ]
    assert found.count((FORBIDDEN, Level.KIDS, True)) == len(PURPOSES)
    assert (FORBIDDEN, Level.ADULT, True) not in found
    assert (PROVOCATIVE, Level.KIDS, False) not in found
    assert (PROVOCATIVE, Level.YOUTH, False) in found
    assert sum(source is HARMLESS for source, *_ in found) == len(LEVELS) * len(PURPOSES)


def test_a_forbidden_sentence_counts_only_if_it_is_refused_wherever_it_must_be() -> None:
    trials = list(claims(CORPUS, LEVELS, PURPOSES))
    outcomes = [
        # Typed it is refused, drawn at youth it is not.
        outcome(
            trial,
            trial.source is FORBIDDEN
            and (trial.level is Level.KIDS or trial.purpose is Purpose.INPUT),
        )
        for trial in trials
    ]
    found = figures_of(outcomes, {})
    assert found.detection == {
        ("drugs", "en", "kids"): Count(1, 1),
        ("drugs", "en", "youth"): Count(0, 1),
    }
    assert found.detected == Count(0, 1)


def test_an_allowed_sentence_counts_as_soon_as_it_is_refused_once() -> None:
    trials = list(claims(CORPUS, LEVELS, PURPOSES))
    outcomes = [
        outcome(
            trial,
            trial.source is HARMLESS
            and trial.level is Level.KIDS
            and trial.purpose is Purpose.MEDIA_PROMPT,
        )
        for trial in trials
    ]
    found = figures_of(outcomes, {})
    assert found.false_positives["harmless", "en", "kids"] == Count(1, 1)
    assert found.false_positives["harmless", "en", "youth"] == Count(0, 1)
    assert found.refused_wrongly == {"harmless": Count(1, 1), "provocative": Count(0, 1)}


def test_hiding_is_measured_by_what_is_refused_in_plain() -> None:
    trials = list(evasions(CORPUS, LEVELS))
    dotted = "a s.w.a.s.t.i.k.a"
    found = judged(trials, HIDING.text, dotted)
    assert found.evasion["dots"] == Count(1, 1)
    assert found.evasion["spaces"] == Count(0, 1)
    assert found.by_hand == {"en": Count(0, 1)}
    assert found.evaded.hits == 1
    # ROT13 and the like have figures of their own.
    readable = [trial for trial in trials if trial.readable and trial.text != HIDING.text]
    assert found.evaded.of == len(readable)
    assert found.coded.of == len(trials) - len(readable) - 1

    found = judged(trials, dotted)
    assert (found.plain_missed, found.evasion) == (1, {})


def test_an_evasion_is_put_at_the_laxest_level_that_must_refuse_it() -> None:
    assert {trial.level for trial in evasions(CORPUS, LEVELS)} == {Level.ADULT, Level.YOUTH}
    assert {trial.level for trial in evasions(CORPUS, [Level.KIDS])} == {Level.KIDS}
    assert not list(evasions(CORPUS, [Level.RESEARCH]))


def test_innocent_words_are_hidden_too_and_may_not_be_refused() -> None:
    corpus = Corpus(
        tuple(
            Sentence(Part.TEST, f"Regen und Donner {number}", "de", "harmless", Claim())
            for number in range(len(WAYS))
        ),
        (),
        "0" * 64,
    )
    trials = list(disguises(corpus, Level.KIDS))
    # In turn, so that each way has its turn; none in which nobody reads it.
    assert {trial.way for trial in trials} == {
        way.name for way in WAYS if way.readable and way.innocent
    } - {
        # The words are too short for these.
        *(way.name for way in WAYS if way.least > 6)
    }
    shouted = [trial.text for trial in trials if trial.way == "upper case"]
    found = judged(trials, shouted[0])
    assert found.disguised["upper case"] == Count(1, len(shouted))
    assert found.disguised["dots"].hits == 0
    # One that is refused as it is says nothing about disguise.
    plain = Trial(Asked.CLAIM, trials[0].source, "x", Level.KIDS, Purpose.INPUT, refused=False)
    outcomes = [outcome(plain, True), *(outcome(trial, True) for trial in trials)]
    of = total(figures_of(outcomes, {}).disguised.values()).of
    assert of == sum(trial.source is not trials[0].source for trial in trials)


def test_a_form_that_changes_a_verdict_is_counted() -> None:
    trials = list(forms(CORPUS, Level.KIDS))
    found = judged(trials, "cocaine", "cocaine.", "COCAINE", "A DOG")
    assert found.changed["full stop"] == Count(0, 3)
    # The dog is refused in capitals, and cocaine is not with exclamation marks.
    assert found.changed["upper case"] == Count(1, 3)
    assert found.changed["exclamation marks"] == Count(1, 3)


def test_what_could_not_be_judged_is_neither_found_nor_wrong_and_misses_an_aim() -> None:
    trials = [*claims(CORPUS, LEVELS, PURPOSES), *forms(CORPUS, Level.KIDS)]
    outcomes = [outcome(trial, None) for trial in trials]
    found = figures_of(outcomes, {})
    assert found.not_judged == {"SAFETY_UNAVAILABLE": len(trials)}
    assert found.detected == Count(0, 1)
    assert found.refused_wrongly["harmless"] == Count(0, 1)
    assert not sum(count.hits for count in found.changed.values())
    assert {aim.name: aim.met for aim in aims_of(found, by_a_model=False)}[
        "Without a verdict"
    ] is False
    assert {one.trial.text for one in misses(outcomes)} == {trial.text for trial in trials}


def test_a_miss_is_told_once_at_the_strictest_level() -> None:
    outcomes = [outcome(trial, False) for trial in claims(CORPUS, LEVELS, PURPOSES)]
    (missed,) = misses(outcomes)
    assert (missed.trial.source, missed.trial.level) == (FORBIDDEN, Level.KIDS)
    assert missed.trial.purpose is Purpose.INPUT


def test_a_model_has_to_find_more_than_the_lists() -> None:
    sentences = [
        Trial(Asked.CLAIM, _forbidden(number), "x", Level.KIDS, Purpose.INPUT, True)
        for number in range(100)
    ]
    outcomes = [outcome(trial, number < 97) for number, trial in enumerate(sentences)]
    found = figures_of(outcomes, {})
    met = [
        {aim.name: aim.met for aim in aims_of(found, by_a_model=model)}["Forbidden, refused"]
        for model in (False, True)
    ]
    assert met == [True, False]


def test_time_is_an_aim_of_its_own() -> None:
    claim = Trial(Asked.CLAIM, HARMLESS, "x", Level.KIDS, Purpose.INPUT, False)
    outcomes = [outcome(claim, False, seconds / 1000) for seconds in range(1, 101)]
    found = figures_of(outcomes, {("mixed", 10_000): 0.01, ("mixed", 20_000): 0.049})
    assert found.milliseconds == (50.0, 99.0)
    met = {aim.name: aim.met for aim in aims_of(found, by_a_model=False)}
    assert met["20000 characters, mixed"]
    # Five times the time for twice the text.
    assert not met["Time for twice the text, mixed"]


def _forbidden(number: int) -> Sentence:
    return Sentence(
        Part.TEST, f"cocaine {number}", "en", "forbidden", Claim("drugs", Level.KIDS, None)
    )
