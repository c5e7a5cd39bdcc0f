"""What the creator of a run decides, before anything has happened to it. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from services.kit.ids import RunId
from services.recorder.domain.outcome import Output
from services.recorder.domain.vocabulary import EntityType, ExecutionMode, SafetyLevel

MAX_PLAN_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Parent:
    """The run another one goes on from, and the last entity taken over from it; 0 for none."""

    run_id: RunId
    sequence: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the creator of a run decides; everything else is the recorder's."""

    config_name: str
    safety_level: SafetyLevel
    user_id: str
    deadline: datetime | None
    outputs: tuple[Output, ...]
    expected_entities: tuple[EntityType, ...]
    execution_mode: ExecutionMode
    seed: int
    parent: Parent | None = None
    # How the run is to be carried out, a JSON object as its creator wrote it; empty for none.
    document: str = ""

    def digest(self) -> str:
        """SHA-256 of the plan, so that a repeated request can be told from a reused id."""
        outputs = [(o.index, o.config, o.occurrence, o.kind) for o in self.outputs]
        deadline = None if self.deadline is None else self.deadline.isoformat()
        form: list[object] = [
            self.config_name,
            self.safety_level,
            self.user_id,
            deadline,
            outputs,
            self.expected_entities,
            self.execution_mode,
            self.seed,
        ]
        # Not there where they say nothing: runs are older than they are.
        if self.parent is not None or self.document:
            parent = self.parent and (self.parent.run_id.value, self.parent.sequence)
            form += [parent, self.document]
        return hashlib.sha256(json.dumps(form, separators=(",", ":")).encode()).hexdigest()


def is_plan_document(text: str) -> bool:
    """Whether this is a JSON object of at most `MAX_PLAN_BYTES` bytes."""
    try:
        if len(text.encode()) > MAX_PLAN_BYTES:
            return False
        return isinstance(json.loads(text, parse_constant=_refuse_constant), dict)
    except (ValueError, RecursionError):
        return False


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are not JSON
