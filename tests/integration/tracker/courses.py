"""Executions as they come from records, to be kept and found again."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

from services.kit.ids import RunId
from services.recorder.domain.execution import RunExecution
from services.recorder.domain.vocabulary import EntityType, RunState
from tests.unit.recorder.test_execution import AWAY, BLOCKED, NOW, Course, course


def running() -> Course:
    """In the middle of its second pass."""
    one = course(2, (EntityType.INTERCEPTION_PASS,) * 3)
    one.has(EntityType.INPUT, 0)
    one.at(1, "translation_and_safety")
    one.at(2, "interception")
    one.has(EntityType.INTERCEPTION_PASS, 2, number=1)
    return one


def succeeded() -> Course:
    """All outputs made."""
    one = course(2)
    one.texts()
    one.output(1)
    one.output(2)
    one.ends(RunState.SUCCEEDED)
    return one


def partial() -> Course:
    """One output blocked, one made."""
    one = course(2)
    one.texts()
    one.at(3, "pre_output_safety", 1)
    one.output_ends(1, RunState.BLOCKED, BLOCKED)
    one.output(2)
    one.ends(RunState.PARTIAL)
    return one


def failed() -> Course:
    """Its renderer was away."""
    one = course()
    one.texts()
    one.at(4, "media_generation", 1)
    one.output_ends(1, RunState.FAILED, AWAY)
    one.ends(RunState.FAILED, AWAY)
    return one


def of_number(number: int, course: Course) -> RunExecution:
    """The execution of a run of its own, created so many minutes after the first."""
    run_id = RunId(str(uuid.UUID(int=number)))
    created = NOW + timedelta(minutes=number)
    run = replace(course.run, run_id=run_id, created_at=created)
    return Course(run).rows()
