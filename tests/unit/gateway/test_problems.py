from __future__ import annotations

import httpx
import orjson
import pytest
from fastapi import FastAPI

from services.gateway.headers import content_disposition
from services.gateway.problems import STATUS_OF_CODE, install, problem_of
from services.kit.errors import (
    BY_CODE,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ResourceExhausted,
    Unavailable,
)


def test_every_error_of_ours_has_a_status() -> None:
    assert set(STATUS_OF_CODE) == set(BY_CODE)
    for kind in BY_CODE.values():
        response = problem_of(kind("SOME_REASON", "a message"))
        body = orjson.loads(response.body)
        assert response.media_type == "application/problem+json"
        assert body["status"] == response.status_code == STATUS_OF_CODE[kind.code]
        assert body["type"] == "urn:artlab:problem:some-reason"
        assert body["title"] != "Error"


def test_peers_fields_get_the_names_that_clients_know() -> None:
    error = NotFound("CONFIG_NOT_FOUND", "no such recipe", field="config_name")
    assert orjson.loads(problem_of(error).body)["field"] == "schema"


def test_a_defect_says_nothing_of_itself() -> None:
    response = problem_of(Internal("INTERNAL", "secret detail"))
    assert b"secret" not in response.body


@pytest.mark.parametrize(("asked", "header"), [(None, "1"), (0.2, "1"), (2.1, "3")])
def test_retry_after_is_in_whole_seconds(asked: float | None, header: str) -> None:
    response = problem_of(Unavailable("AWAY", "x", retry_after_seconds=asked))
    assert response.headers["retry-after"] == header


def test_416_says_how_much_there_is() -> None:
    error = OutOfRange("RANGE_NOT_SATISFIABLE", "x", metadata={"size_bytes": "10"})
    assert problem_of(error).headers["content-range"] == "bytes */10"
    bare = problem_of(OutOfRange("NO_SUCH_EVENT", "x"))
    assert "content-range" not in bare.headers


def test_json_that_is_none_is_400_and_wrong_json_is_422() -> None:
    assert problem_of(InvalidArgument("MALFORMED_JSON", "x")).status_code == 400
    assert problem_of(InvalidArgument("DUPLICATE_KEY", "x")).status_code == 422


def test_a_full_disk_is_no_rate_of_the_clients() -> None:
    full = problem_of(ResourceExhausted("STORAGE_FULL", "the disk is full"))
    assert (full.status_code, orjson.loads(full.body)["title"]) == (507, "The disk is full")
    busy = problem_of(ResourceExhausted("TOO_MANY_RUNS", "too many"))
    assert busy.status_code == 429


def test_a_file_name_cannot_leave_its_quotes() -> None:
    assert content_disposition("06_output_image.png") == 'inline; filename="06_output_image.png"'
    assert content_disposition('a"; x="b\r\n\\ä') == 'inline; filename="a; x=b"'


async def test_an_unexpected_error_is_500_without_its_text() -> None:
    app = FastAPI()
    install(app)

    @app.get("/")
    async def broken() -> None:
        raise ZeroDivisionError("secret")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/")
    assert response.status_code == 500
    assert response.json()["reason"] == "INTERNAL"
    assert "secret" not in response.text
