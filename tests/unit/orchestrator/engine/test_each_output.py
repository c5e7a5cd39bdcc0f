from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.kit.errors import FailedPrecondition, Unavailable
from services.orchestrator.engine.definition import Definition
from services.orchestrator.engine.memory import InMemory
from services.orchestrator.engine.observer import OutputEnd, OutputState, Unobserved
from services.orchestrator.engine.step import JsonObject, StepBlocked, StepScope, StepWaits
from tests.support.virtual_time import run_virtually
from tests.unit.orchestrator.engine.scripted import Stage, pipeline, step


def outputs(count: int) -> JsonObject:
    return {
        "outputs": [
            {"index": index, "config": f"config_{index}", "kind": "image"}
            for index in range(1, count + 1)
        ]
    }


def each(at_once: int | None = None) -> Definition:
    body = {
        "steps": [
            step("check", inputs={"text": "{{ steps.write.output.name }} as {{ output.config }}"}),
            step("make", inputs={"text": "{{ steps.check.output.text }}"}),
        ]
    }
    config: dict[str, object] = {"body": body}
    if at_once:
        config["at_once"] = at_once
    return pipeline([step("write"), {"id": "each", "type": "for_each_output", "config": config}])


class Told(Unobserved):
    def __init__(self, before: dict[int, OutputState] | None = None) -> None:
        self.before = before or {}
        self.ends: list[OutputEnd] = []

    async def output_state(self, index: int) -> OutputState | None:
        return self.before.get(index)

    async def output_ended(self, end: OutputEnd) -> None:
        self.ends.append(end)


def test_the_body_is_done_for_each_output_with_its_own_values() -> None:
    stage = Stage()
    result = run_virtually(stage.perform(each(), plan=outputs(2)))
    made = result.output["each"]
    assert isinstance(made, dict)
    assert [one["output"] for one in made["outputs"]] == [
        {"make": {"name": "make", "text": "write as config_1"}},
        {"make": {"name": "make", "text": "write as config_2"}},
    ]
    assert made["succeeded"] == 2
    assert stage.began[1:] == [("check", 1, 1), ("make", 1, 1), ("check", 1, 2), ("make", 1, 2)]


@pytest.mark.parametrize(("in_file", "of_run", "most"), [(3, 1, 3), (None, 2, 2), (None, 1, 1)])
def test_so_many_are_in_work_at_once(in_file: int | None, of_run: int, most: int) -> None:
    at_work: set[int] = set()
    seen: list[int] = []

    async def make(inputs: JsonObject, scope: StepScope) -> JsonObject:
        at_work.add(scope.output_index)
        seen.append(len(at_work))
        await asyncio.sleep(1)
        at_work.discard(scope.output_index)
        return {}

    stage = Stage({"make": make})
    run_virtually(stage.perform(each(in_file), plan=outputs(6), outputs_at_once=of_run))
    assert max(seen) == most
    assert len(seen) == 6


def test_all_runs_together_hold_no_more_places_than_there_are() -> None:
    at_work = 0
    seen: list[int] = []

    async def make(inputs: JsonObject, scope: StepScope) -> JsonObject:
        nonlocal at_work
        at_work += 1
        seen.append(at_work)
        await asyncio.sleep(1)
        at_work -= 1
        return {}

    async def run() -> None:
        places = asyncio.Semaphore(2)
        stage = Stage({"make": make})
        runs = [stage.perform(each(4), plan=outputs(4), output_slots=places) for _ in range(3)]
        await asyncio.gather(*runs)

    run_virtually(run())
    assert (max(seen), len(seen)) == (2, 12)


async def by_output(inputs: JsonObject, scope: StepScope) -> JsonObject:
    if scope.output_index == 1:
        raise StepBlocked("a rule", 3)
    if scope.output_index == 2:
        raise Unavailable("PEER_AWAY", "away")
    if scope.output_index == 3:
        raise FailedPrecondition("OUTPUT_NOT_AVAILABLE", "no such model here")
    return {"text": "safe"}


def test_one_that_goes_badly_leaves_the_others_alone() -> None:
    told = Told()
    result = run_virtually(
        Stage({"check": by_output}).perform(each(4), plan=outputs(4), observer=told)
    )
    assert result.state == "succeeded"
    assert {end.index: end.state for end in told.ends} == {
        1: "blocked",
        2: "failed",
        3: "not_available",
        4: "succeeded",
    }
    assert all(end.failed_step is not None for end in told.ends if end.state != "succeeded")


@pytest.mark.parametrize(("count", "state"), [(1, "blocked"), (2, "failed"), (3, "failed")])
def test_when_none_was_made_it_ends_as_they_did(count: int, state: str) -> None:
    result = run_virtually(Stage({"check": by_output}).perform(each(), plan=outputs(count)))
    assert result.state == state
    assert result.failed_step is not None
    # It is told from a fault of its own by this.
    assert result.failed_step.cause is None
    made: Any = result.failed_step.result
    assert len(made["outputs"]) == count


def test_outputs_that_ended_before_are_left_alone() -> None:
    told = Told({1: "succeeded", 3: "blocked"})
    stage = Stage()
    result = run_virtually(stage.perform(each(), plan=outputs(3), observer=told))
    assert {place[2] for place in stage.began if place[2]} == {2}
    assert [end.index for end in told.ends] == [2]
    made: Any = result.output["each"]
    assert (made["succeeded"], made["blocked"]) == (2, 1)


def test_a_question_about_one_output_does_not_keep_the_others_waiting() -> None:
    async def ask(inputs: JsonObject, scope: StepScope) -> JsonObject:
        if scope.output_index == 1:
            raise StepWaits(5, 60.0)
        return {"text": "safe"}

    told, memory = Told(), InMemory()
    stage = Stage({"check": ask, "make": ask})
    with pytest.raises(StepWaits):
        run_virtually(stage.perform(each(), plan=outputs(2), observer=told, memory=memory))
    assert [(end.index, end.state) for end in told.ends] == [(2, "succeeded")]
    again = Stage()
    result = run_virtually(again.perform(each(), plan=outputs(2), memory=memory))
    assert result.state == "succeeded"
    assert again.began == [("check", 1, 1), ("make", 1, 1)]


def test_what_is_remembered_is_so_for_each_output() -> None:
    memory = InMemory()
    run_virtually(Stage().perform(each(), plan=outputs(2), memory=memory))
    assert set(memory.kept) == {
        ("write", 1, 0),
        ("check", 1, 1),
        ("make", 1, 1),
        ("check", 1, 2),
        ("make", 1, 2),
    }


def test_cancelled_in_the_middle_no_output_is_left_at_work() -> None:
    async def run() -> None:
        stage = Stage(seconds={"make": 10.0})
        work = asyncio.create_task(stage.perform(each(2), plan=outputs(4)))
        await asyncio.sleep(1)
        assert stage.inside == {("make", 1, 1), ("make", 1, 2)}
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert not stage.inside
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(run())


def test_a_driver_that_is_no_longer_one_stops_all_outputs() -> None:
    class Lost(BaseException):
        pass

    async def lost(inputs: JsonObject, scope: StepScope) -> JsonObject:
        if scope.output_index == 2:
            raise Lost
        return {}

    async def run() -> None:
        stage = Stage({"make": lost}, {"make": 1.0})
        told = Told()
        with pytest.raises(Lost):
            await stage.perform(each(3), plan=outputs(3), observer=told)
        assert not stage.inside

    run_virtually(run())


@pytest.mark.parametrize("plan", [{}, {"outputs": 3}, {"outputs": [{"config": "x"}]}])
def test_a_plan_without_outputs_is_a_fault(plan: JsonObject) -> None:
    result = run_virtually(Stage().perform(each(), plan=plan))
    assert result.failed_step is not None
    assert (result.failed_step.error, result.state) == ("PLAN_INVALID", "failed")


def test_no_outputs_at_all_is_nothing_to_do() -> None:
    result = run_virtually(Stage().perform(each(), plan={"outputs": []}))
    assert result.state == "succeeded"
