"""What the creator of a run decides, before anything has happened to it. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from services.recorder.domain.outcome import Output
from services.recorder.domain.vocabulary import EntityType, ExecutionMode, SafetyLevel


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

    def digest(self) -> str:
        """SHA-256 of the plan, so that a repeated request can be told from a reused id."""
        outputs = [(o.index, o.config, o.occurrence, o.kind) for o in self.outputs]
        deadline = None if self.deadline is None else self.deadline.isoformat()
        form = json.dumps(
            [
                self.config_name,
                self.safety_level,
                self.user_id,
                deadline,
                outputs,
                self.expected_entities,
                self.execution_mode,
                self.seed,
            ],
            separators=(",", ":"),
        )
        return hashlib.sha256(form.encode()).hexdigest()
