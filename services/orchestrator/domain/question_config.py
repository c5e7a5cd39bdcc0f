"""What a pipeline says of a question it asks: the `config` of a step of type `question`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.kit.errors import InvalidArgument
from services.orchestrator.domain.questions import (
    DEFAULTS,
    KINDS,
    WHO,
    OnTimeout,
    QuestionKind,
    Who,
)
from services.orchestrator.engine.graph import Flow

TYPE = "question"
# How long a question waits if the file does not say, and at most: as long as the recorder delays a
# run that nobody drives.
DEFAULT_SECONDS = 24 * 3600.0
MAX_SECONDS = 30 * 24 * 3600.0

Word = TypeVar("Word", bound=str)


@dataclass(frozen=True, slots=True)
class QuestionConfig:
    """How one step asks; see `domain.questions.Question`.

    Without a word in the file a teacher's silence is a no, and a person's, who only wanted to see
    the text, a yes.
    """

    kind: QuestionKind
    who: Who
    seconds: float
    on_timeout: OnTimeout


def question_config(config: Mapping[str, object], step: str) -> QuestionConfig:
    """Return how a step asks. Raises InvalidArgument STEP_CONFIG_INVALID with the field's path."""
    unknown = sorted(config.keys() - {"kind", "who", "seconds", "on_timeout"})
    if unknown:
        raise _invalid(step, unknown[0], "is no field of a question")
    kind = _word(config, "kind", KINDS, None, step)
    who = _word(config, "who", WHO, "person", step)
    seconds = config.get("seconds", DEFAULT_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise _invalid(step, "seconds", "is no number")
    if not 1 <= seconds <= MAX_SECONDS:
        raise _invalid(step, "seconds", f"is not within 1 and {MAX_SECONDS:.0f}")
    silence: OnTimeout = "approve" if (kind, who) == ("edit", "person") else "reject"
    on_timeout = _word(config, "on_timeout", DEFAULTS, silence, step)
    return QuestionConfig(kind, who, float(seconds), on_timeout)


def waiting_seconds(flow: Flow, outputs: int) -> float:
    """Return how long people may let a run wait in all, at most; 0 when nobody is asked.

    Raises InvalidArgument STEP_CONFIG_INVALID.
    """
    rounds = 1 + sum(path.limit or 0 for path in flow.paths)
    seconds = 0.0
    for step in flow.steps:
        if step.body is not None:
            seconds += outputs * waiting_seconds(step.body, outputs)
        elif step.kind == TYPE:
            seconds += question_config(step.config, step.id).seconds
    return rounds * seconds


def _word(
    config: Mapping[str, object],
    name: str,
    words: Sequence[Word],
    default: Word | None,
    step: str,
) -> Word:
    value = config.get(name, default)
    for word in words:
        if word == value:
            return word
    raise _invalid(step, name, f"is none of {', '.join(words)}")


def _invalid(step: str, name: str, problem: str) -> InvalidArgument:
    field = f"steps.{step}.config.{name}"
    return InvalidArgument("STEP_CONFIG_INVALID", f"{field} {problem}", field=field)
