"""The history entry of a job that has just ended: waited for, or put together from its events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from services.media.comfy.errors import Unanswered, Unreachable
from services.media.comfy.instance import Instance

# ComfyUI writes the history after it says that it is done; 858 ms was the worst seen. After these
# the look decides: the queue gives a job up in the moment in which the history gets it.
HISTORY_WAITS_SECONDS = (0.0, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.4)


async def await_history(instance: Instance, prompt_id: str) -> Mapping[str, Any] | None:
    """Return the entry of a job whose end was told; None when it does not come within a second."""
    for wait in HISTORY_WAITS_SECONDS:
        await asyncio.sleep(wait)
        try:
            entry = await instance.history(prompt_id)
        except (Unreachable, Unanswered):
            continue
        if entry is not None:
            return entry
    return None


def told_entry(
    prompt_id: str, graph: Mapping[str, object], outputs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the entry of a job whose success was told and that a full history forgot at once."""
    return {
        "prompt": [0, prompt_id, graph, {}, []],
        "outputs": outputs,
        "status": {"messages": [["execution_success", {}]]},
    }
