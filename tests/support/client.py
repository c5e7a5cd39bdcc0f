"""A client of the gateway, as a web page or a script would be one."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.processes import Running


def client_of(running: Running) -> httpx.AsyncClient:
    """A client that knows the gateway's address and no proxy; close it with ``async with``."""
    return httpx.AsyncClient(base_url=running.url, timeout=50.0, trust_env=False)


async def start_run(http: httpx.AsyncClient, **fields: Any) -> str:
    """Start a run without waiting for its end; return its id."""
    answer = await http.post(
        "/api/schema/pipeline/execute",
        json={"schema": "dada", "input_text": "Eine Blume auf der Wiese", **fields},
        headers={"Prefer": "respond-async"},
    )
    assert answer.status_code == 202, answer.text
    run_id: str = answer.json()["run_id"]
    return run_id
