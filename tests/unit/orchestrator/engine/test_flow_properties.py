"""Random pipelines against a model that knows no time at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.engine.definition import Definition
from services.orchestrator.engine.graph import Flow
from services.orchestrator.engine.memory import InMemory
from services.orchestrator.engine.step import PipelineResult, StepResult
from tests.support.virtual_time import run_virtually
from tests.unit.orchestrator.engine.scripted import (
    Script,
    Stage,
    blocks,
    fails,
    path,
    pipeline,
    statuses,
    step,
)

CONDITIONS: tuple[Any, ...] = (
    None,
    "always",
    {"outcome": "blocked"},
    {"outcome": "failed"},
    {"equals": ["{{ input.coin }}", True]},
    {"equals": ["{{ input.coin }}", False]},
    {"any": [{"outcome": "failed"}, {"equals": ["{{ input.coin }}", True]}]},
)
BAD: Mapping[str, Script] = {"blocked": blocks, "failed": fails}


@dataclass(frozen=True)
class Case:
    """A pipeline, how each of its steps ends, how long they take in two runs, and the input."""

    definition: Definition
    ends: Mapping[str, str]
    seconds: tuple[Mapping[str, float], Mapping[str, float]]
    coin: bool

    def stage(self, run: int = 0) -> Stage:
        scripts = {name: BAD[end] for name, end in self.ends.items() if end in BAD}
        return Stage(scripts, self.seconds[run])


@st.composite
def cases(draw: st.DrawFn, *, loops: bool) -> Case:
    names = [f"s{number}" for number in range(draw(st.integers(1, 8)))]
    paths = []
    for later in range(1, len(names)):
        origins = draw(st.sets(st.integers(0, later - 1), max_size=3))
        for origin in sorted(origins):
            condition = draw(st.sampled_from(CONDITIONS))
            told = {} if condition is None else {"condition": condition}
            paths.append(path(names[origin], names[later], **told))
    ends = {
        name: draw(st.sampled_from(["succeeded"] * 4 + ["blocked", "failed"])) for name in names
    }
    if loops:
        _add_loops(draw, names, paths)
    steps = [step(name) for name in names]
    pause = st.sampled_from([0.0, 1.0, 2.0, 3.0])
    seconds = tuple({name: draw(pause) for name in names} for _ in range(2))
    written = pipeline(steps, *paths) if paths else pipeline(steps[:1])
    return Case(written, ends, (seconds[0], seconds[1]), draw(st.booleans()))


def _add_loops(draw: st.DrawFn, names: list[str], paths: list[dict[str, object]]) -> None:
    # Chains in which everything goes through both ends, one within the other.
    last = names[-1]
    chain = [f"l{number}" for number in range(draw(st.integers(1, 4)))]
    paths.append(path(last, chain[0], condition="always"))
    for origin, target in pairwise(chain):
        paths.append(path(origin, target, condition="always"))
    names += chain
    for end in range(len(chain)):
        start = draw(st.integers(0, end))
        if draw(st.booleans()):
            limit = draw(st.integers(1, 2))
            condition = draw(st.sampled_from(["always", {"outcome": "failed"}]))
            back = path(chain[end], chain[start], condition=condition, limit=limit)
            paths.append(back)


def run(case: Case, stage: Stage, memory: InMemory | None = None) -> PipelineResult:
    return run_virtually(stage.perform(case.definition, {"coin": case.coin}, memory=memory))


def told(result: PipelineResult) -> list[tuple[Any, ...]]:
    """What may not depend on time: all but the order, how long it took and where it came from."""
    return sorted(_step(one) for one in result.steps)


def _step(one: StepResult) -> tuple[Any, ...]:
    return one.step_index, one.iteration, one.status, one.error, one.message, str(one.result)


def expected(case: Case) -> dict[str, str]:
    """How each step ends, without loops, told by going through them in order."""
    flow = case.definition.flow
    ended: dict[str, str] = {}
    taken: set[Any] = set()
    cut: set[str] = set()
    for one in flow.steps:
        into = flow.into(one.id)
        if into and (one.id in cut or not taken.intersection(into)):
            ended[one.id] = "skipped"
            continue
        state = ended[one.id] = case.ends[one.id]
        ways = [way for way in flow.out_of(one.id) if _holds(way.condition, state, case.coin)]
        taken.update(ways)
        if state != "succeeded" and not ways:
            cut |= flow.after.get(one.id, frozenset())
    return ended


def _holds(condition: Any, state: str, coin: bool) -> bool:
    kind = type(condition).__name__
    if kind == "Always":
        return True
    if kind == "Outcome":
        return bool(condition.state == state)
    if kind == "Some":
        return state == "failed" or coin
    return state == "succeeded" and condition.right == coin


@given(cases(loops=False))
def test_every_step_ends_once_and_as_its_paths_say(case: Case) -> None:
    stage = case.stage()
    result = run(case, stage)
    wanted = expected(case)
    assert statuses(result) == {(name, 1, 0): state for name, state in wanted.items()}
    assert len(stage.began) == len(set(stage.began))
    bad = [
        name
        for name, state in wanted.items()
        if state in BAD and not _handled(case, case.definition.flow, name, state)
    ]
    assert result.state == (wanted[bad[0]] if bad else "succeeded")
    assert (result.failed_step.step_name if result.failed_step else None) == (
        bad[0] if bad else None
    )


def _handled(case: Case, flow: Flow, name: str, state: str) -> bool:
    return any(_holds(way.condition, state, case.coin) for way in flow.out_of(name))


@given(cases(loops=True))
@settings(max_examples=60)
def test_the_result_is_the_same_whatever_takes_how_long(case: Case) -> None:
    first, second = run(case, case.stage(0)), run(case, case.stage(1))
    assert told(first) == told(second)
    assert first.output == second.output
    assert (first.state, first.failed_step) == (second.state, second.failed_step) or (
        first.failed_step is not None
        and second.failed_step is not None
        and _step(first.failed_step) == _step(second.failed_step)
    )


@given(cases(loops=True))
@settings(max_examples=60)
def test_no_step_begins_before_what_leads_to_it_is_decided_and_none_is_done_twice(
    case: Case,
) -> None:
    stage = case.stage()
    result = run(case, stage)
    assert len(stage.began) == len(set(stage.began))
    flow = case.definition.flow
    place = {(one.step_name, one.iteration): at for at, one in enumerate(result.steps)}
    for one in result.steps:
        for way in flow.into(one.step_name):
            # In the first turn all that comes before has ended before; later, what is in the loop.
            if one.iteration == 1:
                assert place[way.from_step, 1] < place[one.step_name, 1]
    for name in flow.by_id:
        turns = sorted(turn for found, turn in place if found == name)
        assert turns == list(range(1, len(turns) + 1))
        assert turns


@given(cases(loops=True))
@settings(max_examples=60)
def test_loops_end_at_their_limits(case: Case) -> None:
    result = run(case, case.stage())
    flow = case.definition.flow
    most = dict.fromkeys(flow.by_id, 1)
    for loop in (way for way in flow.paths if way.limit is not None):
        for name in flow.body_of(loop):
            most[name] *= loop.limit + 1 if loop.limit else 1
    for one in result.steps:
        assert one.iteration <= most[one.step_name]


@given(cases(loops=True), st.floats(0, 12))
@settings(max_examples=60)
def test_cancelled_at_any_moment_nothing_is_left_at_work(case: Case, moment: float) -> None:
    async def cancelled() -> None:
        stage = case.stage()
        work = asyncio.create_task(stage.perform(case.definition, {"coin": case.coin}))
        await asyncio.sleep(moment)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert not stage.inside
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(cancelled())


@given(cases(loops=True), st.integers(0, 20))
@settings(max_examples=60)
def test_who_goes_on_with_what_was_remembered_comes_to_the_same_end(case: Case, known: int) -> None:
    memory = InMemory()
    stage = case.stage()
    first = run(case, stage, memory)
    kept = dict(list(memory.kept.items())[:known])
    again = case.stage(1)
    second = run(case, again, InMemory(kept))
    assert told(first) == told(second)
    assert first.output == second.output
    assert first.state == second.state
    assert sorted(again.began) == sorted(place for place in stage.began if place not in kept)
