"""What the tests of hostile HTTP share: one request, and what a refusal looks like.

The cases are those of the groups http_json_shape, http_protocol, run_id_path and text_unicode of
the team's collection of bad inputs, written out.
"""

from __future__ import annotations

import json

import httpx

PATH = "/api/schema/pipeline/execute"
SECRET = "Zwetschgenwasser"
JSON = {"Content-Type": "application/json"}


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer.split(b" ", 2)[1])


def assert_refused(response: httpx.Response, status: int, reason: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert SECRET not in response.text
    if reason is not None:
        assert response.json()["reason"] == reason


def body_of(**fields: object) -> bytes:
    return json.dumps({"schema": "dada", "input_text": SECRET, **fields}).encode()
