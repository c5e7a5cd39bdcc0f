from __future__ import annotations

import asyncio

import pytest

from services.kit.errors import FailedPrecondition, Internal, Unavailable
from services.orchestrator.engine.step import JsonObject, StepScope, StepWaits
from tests.support.virtual_time import Deadlock, run_virtually
from tests.unit.orchestrator.engine.scripted import (
    Stage,
    blocks,
    fails,
    gives,
    path,
    pipeline,
    statuses,
    step,
)


def test_without_a_flow_the_steps_follow_one_another() -> None:
    stage = Stage()
    written = pipeline(
        [step("a"), step("b", inputs={"of": "{{ steps.a.output.name }}"}), step("c")]
    )
    result = run_virtually(stage.perform(written))
    assert [one.step_name for one in result.steps] == ["a", "b", "c"]
    assert result.steps[1].result == {"name": "b", "of": "a"}
    assert result.output == {"c": {"name": "c"}}
    assert result.state == "succeeded"


def test_branches_run_at_the_same_time() -> None:
    met: asyncio.Barrier

    async def meet(inputs: JsonObject, scope: StepScope) -> JsonObject:
        await met.wait()
        return {}

    async def run() -> None:
        nonlocal met
        met = asyncio.Barrier(3)
        stage = Stage({name: meet for name in "bcd"})
        steps = [step(name) for name in "abcde"]
        paths = [path("a", name) for name in "bcd"] + [path(name, "e") for name in "bcd"]
        result = await stage.perform(pipeline(steps, *paths))
        assert result.state == "succeeded"
        assert stage.began[-1] == ("e", 1, 0)

    run_virtually(run())


def test_what_no_path_comes_to_is_skipped_and_where_branches_meet_it_goes_on() -> None:
    stage = Stage({"a": gives(kind="image")})
    written = pipeline(
        [step("a"), step("draw"), step("shade"), step("write"), step("end")],
        path("a", "draw", condition={"equals": ["{{ steps.a.output.kind }}", "image"]}),
        path("draw", "end"),
        path("a", "write", condition={"equals": ["{{ steps.a.output.kind }}", "text"]}),
        path("write", "shade", condition="always"),
        path("shade", "end", condition="always"),
    )
    result = run_virtually(stage.perform(written))
    assert statuses(result) == {
        ("a", 1, 0): "succeeded",
        ("draw", 1, 0): "succeeded",
        ("write", 1, 0): "skipped",
        ("shade", 1, 0): "skipped",
        ("end", 1, 0): "succeeded",
    }
    assert result.state == "succeeded"


@pytest.mark.parametrize(("script", "state"), [(blocks, "blocked"), (fails, "failed")])
def test_an_end_that_nothing_takes_care_of_ends_the_pipeline_with_other_branches_kept_whole(
    script: object, state: str
) -> None:
    stage = Stage({"bad": script}, {"long": 5.0, "longer": 5.0})  # type: ignore[dict-item]
    written = pipeline(
        [step(name) for name in ("start", "bad", "after", "long", "longer", "join")],
        path("start", "bad"),
        path("start", "long"),
        path("bad", "after"),
        path("long", "longer"),
        path("after", "join", condition="always"),
        path("longer", "join"),
    )
    result = run_virtually(stage.perform(written))
    assert result.state == state
    assert result.failed_step is not None
    assert result.failed_step.step_name == "bad"
    found = {one.step_name: one.status for one in result.steps}
    assert found["longer"] == "succeeded"
    assert (found["after"], found["join"]) == ("skipped", "skipped")


@pytest.mark.parametrize(("script", "state"), [(blocks, "blocked"), (fails, "failed")])
def test_an_end_that_a_path_takes_care_of_goes_on(script: object, state: str) -> None:
    stage = Stage({"bad": script})  # type: ignore[dict-item]
    written = pipeline(
        [step("bad"), step("good"), step("care", inputs={"why": "{{ steps.bad.error }}"})],
        path("bad", "good"),
        path("bad", "care", condition={"outcome": state}),
    )
    result = run_virtually(stage.perform(written))
    assert result.state == "succeeded"
    assert result.output == {"care": {"name": "care", "why": result.steps[0].error}}


def test_what_a_check_found_is_seen_by_who_takes_care_of_it() -> None:
    stage = Stage({"check": blocks})
    written = pipeline(
        [step("check"), step("care", inputs={"rule": "{{ steps.check.output.rule }}"})],
        path("check", "care", condition={"outcome": "blocked"}),
    )
    result = run_virtually(stage.perform(written))
    assert result.output == {"care": {"name": "care", "rule": "a rule"}}


def test_a_condition_that_cannot_be_told_fails_the_step_before_it() -> None:
    written = pipeline(
        [step("a"), step("b")],
        path("a", "b", condition={"equals": ["{{ input.x }}", 1]}),
    )
    result = run_virtually(Stage().perform(written))
    assert result.state == "failed"
    assert result.failed_step is not None
    assert (result.failed_step.step_name, result.failed_step.error) == (
        "a",
        "TEMPLATE_VALUE_MISSING",
    )


def test_a_loop_ends_when_its_condition_does_and_sees_the_turn_before() -> None:
    async def longer(inputs: JsonObject, scope: StepScope) -> JsonObject:
        return {"text": f"{inputs['text']}x"}

    stage = Stage({"write": longer})
    written = pipeline(
        [
            step("write", inputs={"text": '{{ steps.look.output.text ?? "" }}'}),
            step("look", inputs={"text": "{{ steps.write.output.text }}"}),
            step("done", inputs={"text": "{{ steps.look.output.text }}"}),
        ],
        path("write", "look"),
        path(
            "look",
            "write",
            condition={"not_equals": ["{{ steps.look.output.text }}", "xxx"]},
            limit=9,
        ),
        path("look", "done"),
    )
    result = run_virtually(stage.perform(written))
    assert result.output == {"done": {"name": "done", "text": "xxx"}}
    assert [one.iteration for one in result.steps if one.step_name == "write"] == [1, 2, 3]
    assert [one.iteration for one in result.steps if one.step_name == "done"] == [1]


def test_a_loop_ends_at_its_limit_and_inner_ones_have_their_turns_again() -> None:
    stage = Stage()
    written = pipeline(
        [step("a"), step("b"), step("c")],
        path("a", "b"),
        path("b", "b", limit=2),
        path("b", "c"),
        path("c", "a", limit=1),
    )
    result = run_virtually(stage.perform(written))
    assert result.state == "succeeded"
    assert [place[0] for place in stage.began] == [*"abbbc", *"abbbc"]
    assert len(set(stage.began)) == len(stage.began)


def test_a_failure_may_be_what_leads_back() -> None:
    async def second_time(inputs: JsonObject, scope: StepScope) -> JsonObject:
        if scope.iteration == 1:
            raise Unavailable("PEER_AWAY", "away")
        return {}

    written = pipeline(
        [step("ask"), step("call"), step("done")],
        path("ask", "call"),
        path("call", "ask", condition={"outcome": "failed"}, limit=1),
        path("call", "done"),
    )
    result = run_virtually(Stage({"call": second_time}).perform(written))
    assert result.state == "succeeded"
    assert statuses(result)[("call", 1, 0)] == "failed"


def test_who_waits_for_a_person_lets_everything_else_come_to_its_end_first() -> None:
    async def ask(inputs: JsonObject, scope: StepScope) -> JsonObject:
        raise StepWaits(3 if scope.step == "one" else 4, 60.0 if scope.step == "one" else 30.0)

    stage = Stage({"one": ask, "two": ask}, {"slow": 9.0, "slower": 9.0})
    written = pipeline(
        [step(name) for name in ("start", "one", "two", "slow", "slower", "join")],
        path("start", "one"),
        path("start", "two"),
        path("start", "slow"),
        path("slow", "slower"),
        path("slower", "join"),
        path("one", "join"),
        path("two", "join"),
    )
    with pytest.raises(StepWaits) as waits:
        run_virtually(stage.perform(written))
    assert (waits.value.question, waits.value.seconds) == (4, 30.0)
    assert ("slower", 1, 0) in stage.ended
    assert ("join", 1, 0) not in stage.began


def test_cancelled_in_the_middle_no_task_is_left_behind() -> None:
    async def run() -> None:
        stage = Stage(seconds={"b": 5.0, "c": 50.0})
        written = pipeline([step(name) for name in "abc"], path("a", "b"), path("a", "c"))
        work = asyncio.create_task(stage.perform(written))
        await asyncio.sleep(1.0)
        assert stage.inside == {("b", 1, 0), ("c", 1, 0)}
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert not stage.inside
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(run())


def test_who_drives_no_longer_stops_everything_at_once() -> None:
    async def fenced(inputs: JsonObject, scope: StepScope) -> JsonObject:
        raise FailedPrecondition("FENCED", "somebody else drives")

    async def run() -> None:
        stage = Stage({"b": fenced}, {"b": 1.0, "c": 50.0})
        written = pipeline([step(name) for name in "abc"], path("a", "b"), path("a", "c"))
        with pytest.raises(FailedPrecondition, match="FENCED"):
            await stage.perform(written)
        assert not stage.inside
        assert asyncio.get_running_loop().time() == 1.0

    run_virtually(run())


def test_a_step_that_cancels_itself_does_not_look_like_somebody_who_wants_the_run_to_stop() -> None:
    async def cancel_itself(inputs: JsonObject, scope: StepScope) -> JsonObject:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return {}

    async def run() -> None:
        stage = Stage({"b": cancel_itself}, {"c": 50.0})
        written = pipeline([step(name) for name in "abc"], path("a", "b"), path("a", "c"))
        with pytest.raises(Internal, match="STEP_CRASHED"):
            await stage.perform(written)
        assert not stage.inside

    run_virtually(run())


def test_the_virtual_loop_says_when_everything_waits_for_ever() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtually(wait())
