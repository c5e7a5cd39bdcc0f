"""Steps that any pipeline can use; they need no service. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.orchestrator.engine.step import Json, JsonObject, Step, StepBlocked, StepScope


class Set:
    """`set`: its inputs are its output."""

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Return the inputs, templates filled in."""
        return inputs


class Measure:
    """`measure`: how much there is of `value`, for conditions.

    Of a text `characters`, `words` and `lines`; of a list or of fields `items`; others are 0.
    """

    TAKES = frozenset({"value"})
    GIVES = frozenset({"characters", "words", "lines", "items"})

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Return the four numbers. Raises InvalidArgument STEP_INPUT_INVALID."""
        value: Json = inputs.get("value")
        if isinstance(value, str):
            return {
                "characters": len(value),
                "words": len(value.split()),
                "lines": len(value.splitlines()),
                "items": 0,
            }
        if isinstance(value, Mapping | list | tuple):
            return {"characters": 0, "words": 0, "lines": 0, "items": len(value)}
        raise InvalidArgument(
            "STEP_INPUT_INVALID", "measure takes a text, a list or fields", field="inputs.value"
        )


class Stop:
    """`stop`: ends here as `state` says, blocked (the default) or failed.

    Nothing after it is done, unless a path says what to do about it.
    """

    TAKES = frozenset({"state", "rule"})
    GIVES = frozenset[str]()

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Raise StepBlocked, FailedPrecondition STOPPED, or InvalidArgument STEP_INPUT_INVALID."""
        state, rule = inputs.get("state", "blocked"), inputs.get("rule", "stopped")
        if not isinstance(rule, str) or not rule or len(rule) > 100:
            raise InvalidArgument(
                "STEP_INPUT_INVALID", "rule is 1 to 100 characters", field="inputs.rule"
            )
        if state == "blocked":
            raise StepBlocked(rule, stage=2)
        if state == "failed":
            raise FailedPrecondition("STOPPED", f"the pipeline stops at {scope.step}")
        raise InvalidArgument(
            "STEP_INPUT_INVALID", "state is blocked or failed", field="inputs.state"
        )


GENERIC: Mapping[str, Callable[[], Step]] = {"set": Set, "measure": Measure, "stop": Stop}
