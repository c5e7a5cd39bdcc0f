"""Executions as rows of the two tables, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.kit.ids import EntityName, RunId
from services.recorder.domain.execution import PROJECTION, RunExecution, StepExecution
from services.recorder.domain.vocabulary import ExecutionMode, RunState, SafetyLevel

Row = dict[str, Any]


def run_row(store_id: str, one: RunExecution) -> Row:
    """Return the row of a run."""
    return {
        "store_id": store_id,
        "run_id": one.run_id.value,
        "status": one.status.value,
        "config_name": one.config_name,
        "safety_level": one.safety_level.value,
        "execution_mode": one.execution_mode.value,
        "created_at": one.created_at,
        "started_at": one.started_at,
        "completed_at": one.completed_at,
        "execution_time_ms": one.execution_time_ms,
        "retry_count": one.retry_count,
        "error": one.error,
        "inputs": _texts(one.inputs),
        "outputs": _texts(one.outputs),
        "last_event_seq": one.last_event_seq,
        "projection": PROJECTION,
    }


def step_row(store_id: str, run_id: RunId, step: StepExecution) -> Row:
    """Return the row of a step."""
    return {
        "store_id": store_id,
        "run_id": run_id.value,
        "number": step.number,
        "stage": step.stage,
        "step": step.step,
        "output_index": step.output_index,
        "output_config": step.output_config,
        "pass": step.pass_number,
        "status": step.status.value,
        "started_at": step.started_at,
        "completed_at": step.completed_at,
        "execution_time_ms": step.execution_time_ms,
        "retry_count": step.retry_count,
        "error": step.error,
        "inputs": _texts(step.inputs),
        "outputs": _texts(step.outputs),
    }


def read_run(row: Mapping[Any, Any], steps: Iterable[StepExecution]) -> RunExecution:
    """Return the run of a row."""
    return RunExecution(
        run_id=RunId(row["run_id"]),
        status=RunState(row["status"]),
        config_name=row["config_name"],
        safety_level=SafetyLevel(row["safety_level"]),
        execution_mode=ExecutionMode(row["execution_mode"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        retry_count=row["retry_count"],
        error=row["error"],
        inputs=_names(row["inputs"]),
        outputs=_names(row["outputs"]),
        last_event_seq=row["last_event_seq"],
        steps=tuple(steps),
    )


def read_step(row: Mapping[Any, Any]) -> StepExecution:
    """Return the step of a row."""
    return StepExecution(
        number=row["number"],
        stage=row["stage"],
        step=row["step"],
        output_index=row["output_index"],
        output_config=row["output_config"],
        pass_number=row["pass"],
        status=RunState(row["status"]),
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        retry_count=row["retry_count"],
        error=row["error"],
        inputs=_names(row["inputs"]),
        outputs=_names(row["outputs"]),
    )


def _texts(names: Iterable[EntityName]) -> list[str]:
    return [str(name) for name in names]


def _names(texts: Iterable[str]) -> tuple[EntityName, ...]:
    return tuple(EntityName.parse(text) for text in texts)
