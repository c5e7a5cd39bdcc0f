"""Which run a call belongs to, where its message does not say: in the metadata of the call.

For what is only kept within a run. The id is the request id as well (ADR 4).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId

KEY = "artlab-run-id"


def run_metadata(run_id: str) -> tuple[tuple[str, str], ...]:
    """What a call is made with; nothing for an empty id."""
    return ((KEY, run_id),) if run_id else ()


def run_of(metadata: Iterable[Any] | None) -> str:
    """The run's id, canonical; "" when there is none, or none that is one."""
    for key, value in metadata or ():
        if key == KEY and isinstance(value, str):
            try:
                return str(RunId.parse(value))
            except InvalidArgument:
                return ""
    return ""
