from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from services.kit.errors import Unavailable
from services.orchestrator.engine.memory import InMemory
from services.orchestrator.engine.step import Attempt, JsonObject, StepBlocked, StepScope
from tests.support.virtual_time import run_virtually
from tests.unit.orchestrator.engine.scripted import Stage, blocks, fails, path, pipeline, step


@dataclass
class Recorded(Stage):
    """Finds what it did in a record of its own."""

    record: dict[str, JsonObject | StepBlocked] = field(default_factory=dict)

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        found = self.record.get(scope.step)
        if isinstance(found, StepBlocked):
            raise found
        return found


def test_a_step_that_remembers_is_asked_and_nothing_is_kept_for_it() -> None:
    memory, stage = InMemory(), Recorded(record={"a": {"text": "known"}})
    written = pipeline([step("a"), step("b", inputs={"text": "{{ steps.a.output.text }}"})])
    result = run_virtually(stage.perform(written, memory=memory))
    assert stage.began == [("b", 1, 0)]
    assert result.steps[0].restored
    assert result.output == {"b": {"name": "b", "text": "known"}}
    assert memory.kept == {}


def test_a_recorded_no_is_a_no() -> None:
    stage = Recorded(record={"a": StepBlocked("a rule", 1)})
    result = run_virtually(stage.perform(pipeline([step("a")])))
    assert result.state == "blocked"
    assert result.steps[0].restored
    assert stage.began == []


def test_what_it_fell_back_on_is_kept_even_for_one_that_remembers() -> None:
    memory = InMemory()
    written = pipeline([step("a", fallback={"text": "instead"})])
    first = run_virtually(Recorded({"a": fails}).perform(written, memory=memory))
    again = Recorded()
    second = run_virtually(again.perform(written, memory=memory))
    assert first.output == second.output == {"a": {"text": "instead"}}
    assert again.began == []
    assert second.steps[0].fell_back


def test_a_no_that_a_path_took_care_of_is_not_asked_again() -> None:
    memory = InMemory()
    written = pipeline(
        [step("check"), step("care", inputs={"rule": "{{ steps.check.output.rule }}"})],
        path("check", "care", condition={"outcome": "blocked"}),
    )
    first = run_virtually(Stage({"check": blocks}).perform(written, memory=memory))
    again = Stage()
    second = run_virtually(again.perform(written, memory=memory))
    assert first.output == second.output
    assert again.began == []


class Away(InMemory):
    def __init__(self, when: str) -> None:
        super().__init__()
        self._when = when

    async def recall(self, step: str, iteration: int, output_index: int) -> JsonObject | None:
        if self._when == "recall":
            raise Unavailable("RECORDER_AWAY", "away")
        return None

    async def remember(
        self,
        step: str,
        iteration: int,
        output_index: int,
        output: JsonObject,
        attempts: tuple[Attempt, ...],
    ) -> None:
        raise Unavailable("RECORDER_AWAY", "away")


@pytest.mark.parametrize("when", ["recall", "remember"])
@pytest.mark.parametrize("kind", [Stage, Recorded])
def test_a_memory_that_fails_ends_the_executor_and_is_not_taken_for_a_fault_of_the_step(
    when: str, kind: type[Stage]
) -> None:
    stage = kind({"a": fails})
    fields = {"retry": {"attempts": 3}, "fallback": {"text": "x"}}
    with pytest.raises(Unavailable, match="RECORDER_AWAY"):
        run_virtually(stage.perform(pipeline([step("a", **fields)]), memory=Away(when)))
