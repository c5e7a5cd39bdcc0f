"""What a pipeline says of a question it asks: the `config` of a step of type `question`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.orchestrator.domain.questions import (
    DEFAULTS,
    KINDS,
    WHO,
    OnTimeout,
    QuestionKind,
    Who,
)
from services.orchestrator.engine.condition import holds, templates_of
from services.orchestrator.engine.graph import Flow, Path, StepDefinition
from services.orchestrator.engine.step import Json

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


def waiting_seconds(flow: Flow, outputs: int, *, pause_before_render: bool) -> float:
    """Return how long people may let a run wait in all, at most; 0 when nobody is asked.

    Raises InvalidArgument STEP_CONFIG_INVALID, also for a question this run will not come to.
    """
    rounds = 1 + sum(path.limit or 0 for path in flow.paths)
    seconds = 0.0
    for step in flow.steps:
        if step.body is not None:
            inner = waiting_seconds(step.body, outputs, pause_before_render=pause_before_render)
            seconds += outputs * inner
        elif step.kind == TYPE:
            config = question_config(step.config, step.id)
            ways = [known_way(path, pause_before_render) for path in flow.into(step.id)]
            may_be_asked = not ways or any(way is not False for way in ways)
            seconds += config.seconds if may_be_asked else 0.0
    return rounds * seconds


def is_surely_asked(step: StepDefinition, flow: Flow, *, pause_before_render: bool) -> bool:
    """Whether a run whose steps all go well comes to this question."""
    return all(known_way(path, pause_before_render) for path in flow.into(step.id))


def known_way(path: Path, pause_before_render: bool) -> bool | None:
    """Return whether a path is taken after a success, None when that is not known beforehand."""
    if any(may_lack for _, may_lack in templates_of(path.condition)):
        return None
    try:
        known: Mapping[str, Json] = {"plan": {"pause_before_render": pause_before_render}}
        return holds(path.condition, "succeeded", known)
    except FailedPrecondition:
        # It speaks of something else.
        return None


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
