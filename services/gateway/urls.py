"""The addresses the gateway hands out. They hold ids of ours only, so nothing needs quoting."""

from __future__ import annotations

from services.kit.ids import RunId


def run_url(run_id: RunId, part: str) -> str:
    """An address below a run: status, entities, events, cancel."""
    return f"/api/pipeline/{run_id}/{part}"


def own_url(run_id: RunId, part: str) -> str:
    """Where a run takes what it waits for (input_images, decisions), and its queue."""
    return f"/api/runs/{run_id}/{part}"


def entity_url(run_id: RunId, sequence: int) -> str:
    """Where the bytes of one entity are."""
    return run_url(run_id, f"entities/{sequence}")
