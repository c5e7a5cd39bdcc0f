"""Which runs are meant. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from datetime import datetime

from services.recorder.domain.folding import fold
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import Audience, MediaKind, RunState, SafetyLevel


@dataclass(frozen=True, slots=True)
class Filter:
    """Runs that fit every field that is set; an empty field fits all.

    `text` is what people typed; it is folded when it is compared.
    """

    user_id: str = ""
    config_names: frozenset[str] = frozenset()
    states: frozenset[RunState] = frozenset()
    safety_levels: frozenset[SafetyLevel] = frozenset()
    created_from: datetime | None = None
    created_before: datetime | None = None
    kinds: frozenset[MediaKind] = frozenset()
    text: str = ""
    favourites: bool = False
    output_configs: frozenset[str] = frozenset()

    @property
    def folded_text(self) -> str:
        """The text as it is compared with folded inputs."""
        return fold(self.text)

    def fits(self, run: Run) -> bool:
        """Whether the run fits, text and favourites aside, which are not in a run."""
        return (
            self.user_id in ("", run.user_id)
            and (not self.config_names or run.config_name in self.config_names)
            and (not self.states or run.state in self.states)
            and (not self.safety_levels or run.safety_level in self.safety_levels)
            and (self.created_from is None or run.created_at >= self.created_from)
            and (self.created_before is None or run.created_at < self.created_before)
            and (not self.kinds or any(one.kind in self.kinds for one in run.outputs))
            and (
                not self.output_configs
                or any(one.config in self.output_configs for one in run.outputs)
            )
        )

    def digest(self, audience: Audience) -> str:
        """Tells lists apart: 16 hex characters of this filter for this audience."""
        values = [
            sorted(one) if isinstance(one, frozenset) else one for one in (*astuple(self), audience)
        ]
        return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:16]
