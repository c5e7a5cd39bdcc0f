"""A driver dies after any one of its writes around a question; the answer counts all the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from services.kit.clock import ManualClock, SystemClock
from services.kit.ids import RunId
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.decisions import Answer, Decisions
from services.orchestrator.domain.questions import Said
from services.orchestrator.domain.run import EntityDraft, RecordedEntity
from services.orchestrator.engine.registry import Registry
from services.orchestrator.engine.step import StepBlocked, StepScope, StepWaits
from services.orchestrator.ports import Position
from services.orchestrator.run_in_work import RunInWork
from services.orchestrator.steps.place import RUN as RUN_SERVICE
from services.orchestrator.steps.question import AskPerson
from tests.support.driven_run import REQUEST, RUN, Driven, Fuse, Killed, driven

PAUSED = replace(REQUEST, pause_before_render=True)


async def _nobody(run_id: RunId, user_id: str) -> None:
    """Whoever drives the run next is the test."""


def _decisions(recorder: RecorderClient) -> Decisions:
    return Decisions(recorder, _nobody, SystemClock())


async def _answer(run: Driven, question: int, said: Said, text: str = "") -> None:
    answer = Answer(RUN, question, said, text, "anna", is_teacher=False)
    await _decisions(run.recorder).take(answer)


async def _through(run: Driven, fuse: Fuse, said: Said, text: str) -> None:
    """Drive a run to its end, by a second driver once the first one is killed."""
    while not (await run.recorder.get_run(RUN)).is_final:
        assert run.drivers < 20
        try:
            parked = await run.drive(fuse)
        except Killed:
            fuse = Fuse()
            continue
        if parked is not None:
            [question] = (await run.recorder.get_run(RUN)).open_questions
            await _answer(run, question, said, text)


def _tellable(folder: dict[str, Any]) -> dict[str, Any]:
    entities = Counter(
        # A question has a deadline, which is another one each time.
        (kind, stage, output, data if kind != "question" else json.loads(data)["text"])
        for kind, stage, output, _, _, _, data in folder["entities"]
    )
    return {**folder, "entities": entities}


@pytest.mark.parametrize(
    ("said", "text", "state"),
    [
        ("approve", "", "succeeded"),
        ("edit", "Ein Baum", "succeeded"),
        ("edit", "verboten", "blocked"),
        ("reject", "", "blocked"),
    ],
)
async def test_a_question_is_asked_once_and_answered_once_wherever_a_driver_died(
    tmp_path: Path, said: Said, text: str, state: str
) -> None:
    async with driven(tmp_path, request=PAUSED) as whole:
        fuse = Fuse()
        await _through(whole, fuse, said, text)
        expected = await whole.folder()
    assert expected["state"] == state
    for cut in range(1, fuse.writes):
        async with driven(tmp_path, request=PAUSED) as run:
            await _through(run, Fuse(after=cut), said, text)
            assert _tellable(await run.folder()) == _tellable(expected), f"after write {cut}"
            assert len(run.media.executions) == (1 if state == "succeeded" else 0)
            # An edited text is not asked about again once its check is recorded.
            asked = Counter(run.safety.asked)
            assert asked["interception", text] <= 2


class _Raced:
    """Somebody answers between a driver's look at the record and its own decision."""

    def __init__(self, recorder: RecorderClient) -> None:
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)

    async def record(
        self, run_id: RunId, draft: EntityDraft, then: Position | None = None
    ) -> RecordedEntity:
        if draft.type == "decision":
            question = int(draft.metadata["question"])
            answer = Answer(run_id, question, "edit", "Ein Baum", "anna", is_teacher=False)
            await _decisions(self._recorder).take(answer)
        return await self._recorder.record(run_id, draft, then)


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Driven]:
    async with driven(tmp_path, request=PAUSED) as run:
        yield run


def _scope(run: RunInWork, **config: Any) -> StepScope:
    values = {"kind": "edit", "seconds": 60, **config}
    return StepScope(RUN, "look_over", 1, 1, values, Registry({RUN_SERVICE: run}))


async def _in_work(asking: Driven, recorder: RecorderClient, clock: ManualClock) -> RunInWork:
    run = await asking.run_in_work(recorder)
    run.clock = clock
    return run


async def test_a_question_asked_again_keeps_its_deadline(asking: Driven) -> None:
    clock = ManualClock()
    for left in (60.0, 45.0):
        run = await _in_work(asking, asking.recorder, clock)
        with pytest.raises(StepWaits) as waits:
            await AskPerson().run({"text": "Eine Blume"}, _scope(run))
        assert waits.value.seconds == left
        clock.advance(15.0)
    assert len((await asking.recorder.get_run(RUN)).open_questions) == 1


async def test_a_question_whose_acknowledgement_was_lost_is_the_question(asking: Driven) -> None:
    clock = ManualClock()
    run = await _in_work(asking, asking.recorder, clock)
    later = await _in_work(asking, asking.recorder, clock)
    with pytest.raises(StepWaits) as waits:
        await AskPerson().run({"text": "Eine Blume"}, _scope(run))
    clock.advance(15.0)
    # It read the record before the question was there.
    with pytest.raises(StepWaits) as again:
        await AskPerson().run({"text": "Eine Blume"}, _scope(later))
    assert again.value.question == waits.value.question
    assert again.value.seconds == waits.value.seconds - 15.0


async def test_an_answer_at_the_last_moment_counts_and_not_the_silence(asking: Driven) -> None:
    clock = ManualClock()
    run = await _in_work(asking, asking.recorder, clock)
    with pytest.raises(StepWaits):
        await AskPerson().run({"text": "Eine Blume"}, _scope(run, on_timeout="reject"))
    clock.advance(60.0)
    raced = cast("RecorderClient", _Raced(asking.recorder))
    run = await _in_work(asking, raced, clock)
    given = await AskPerson().run({"text": "Eine Blume"}, _scope(run, on_timeout="reject"))
    assert given == {"decision": "edited", "text": "Ein Baum"}
    assert run.is_checked("Ein Baum")


async def test_two_questions_of_one_run_do_not_answer_each_other(asking: Driven) -> None:
    clock = ManualClock()
    run = await _in_work(asking, asking.recorder, clock)
    first = replace(_scope(run, kind="approve"), step="first")
    second = replace(_scope(run, kind="approve"), step="second")
    again = replace(first, iteration=2)
    asked = []
    for scope in (first, second, again):
        with pytest.raises(StepWaits) as waits:
            await AskPerson().run({"text": "Eine Blume"}, scope)
        asked.append(waits.value.question)
    assert len(set(asked)) == 3
    await _answer(asking, asked[1], "reject")
    run = await _in_work(asking, asking.recorder, clock)
    restored = [replace(one, services=Registry({RUN_SERVICE: run})) for one in (first, second)]
    assert await AskPerson().restore({"text": "Eine Blume"}, restored[0]) is None
    with pytest.raises(StepBlocked, match="rejected by a person"):
        await AskPerson().restore({"text": "Eine Blume"}, restored[1])
