"""The HTTP contract: the OpenAPI document tells the truth, and docs/http-api.md the whole of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import pytest_asyncio

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2
from services.gateway.problems import STATUS_OF_REASON
from tests.fakes.orchestrator import pause, succeed
from tests.integration.gateway.world import RUN, World, gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCS = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
PIPELINE = "/api/pipeline/{run_id}"
DECISIONS = "/api/runs/{run_id}/decisions"
QUEUE = "/api/runs/{run_id}/queue"
ROUTES = {
    "/api/configs": "get",
    "/api/configs/{name}": "get",
    "/api/schema/pipeline/execute": "post",
    f"{PIPELINE}/status": "get",
    f"{PIPELINE}/entities": "get",
    f"{PIPELINE}/entities/{{sequence}}": "get",
    f"{PIPELINE}/entity/{{type}}": "get",
    f"{PIPELINE}/events": "get",
    f"{PIPELINE}/cancel": "post",
    "/health": "get",
    "/ready": "get",
    "/api/system": "get",
    "/api/backends": "get",
    "/api/runs/{run_id}/input_images/{index}": "put",
    DECISIONS: "post",
    QUEUE: "get",
    "/api/pipelines": "get",
}
_PLAIN = ("/health", "/ready", "/api/system", "/api/backends", "/api/pipelines")
_BODIES = {DECISIONS: {"question": 1, "decision": "approve"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with gateway() as made:
        made.recorder.create(RUN, ("builtin_image", common_pb2.MEDIA_KIND_IMAGE))
        made.recorder.commit(RUN, "input", b"x", stage=0)
        await succeed(made.recorder, RUN, None)  # type: ignore[arg-type]
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(world: World) -> dict[str, Any]:
    found: dict[str, Any] = (await world.client.get("/openapi.json")).json()
    return found


def schema_of(document: dict[str, Any], route: str, status: str, kind: str) -> dict[str, Any]:
    operation = document["paths"][route][ROUTES[route]]
    schema: dict[str, Any] = operation["responses"][status]["content"][kind]["schema"]
    return {**schema, "components": document["components"]}


def assert_as_documented(document: dict[str, Any], route: str, response: httpx.Response) -> None:
    kind = response.headers["content-type"].split(";")[0]
    schema = schema_of(document, route, str(response.status_code), kind)
    jsonschema.Draft202012Validator(schema).validate(response.json())
    named = schema.get("$ref", "").rsplit("/", 1)[-1]
    if named:
        known = set(document["components"]["schemas"][named]["properties"])
        assert set(response.json()) <= known


async def test_the_routes_are_those_that_are_documented(document: dict[str, Any]) -> None:
    assert {route: next(iter(found)) for route, found in document["paths"].items()} == ROUTES
    text = DOCS.read_text()
    for route, method in ROUTES.items():
        assert f"{method.upper()} {route}" in text


async def test_every_reference_in_the_document_resolves(document: dict[str, Any]) -> None:
    for name in set(re.findall(r"#/components/schemas/(\w+)", str(document))):
        assert name in document["components"]["schemas"]


async def test_answers_are_as_documented(world: World, document: dict[str, Any]) -> None:
    execute = "/api/schema/pipeline/execute"
    body = {"schema": "dada", "input_text": "x"}
    ended = await world.client.post(execute, json=body)
    assert ended.status_code == 200
    assert_as_documented(document, execute, ended)
    later = await world.client.post(execute, json=body, headers={"Prefer": "respond-async"})
    assert_as_documented(document, execute, later)
    for route in (*_PLAIN, f"{PIPELINE}/status", f"{PIPELINE}/entities"):
        response = await world.client.get(route.format(run_id=RUN))
        assert response.status_code == 200
        assert_as_documented(document, route, response)
    world.orchestrator.place = orchestrator_pb2.GetQueuePositionResponse(position=3)
    place = await world.client.get(QUEUE.format(run_id=RUN))
    assert_as_documented(document, QUEUE, place)
    cancelled = await world.client.post(f"/api/pipeline/{RUN}/cancel")
    assert_as_documented(document, f"{PIPELINE}/cancel", cancelled)


async def test_an_answer_to_a_question_is_as_documented(
    world: World, document: dict[str, Any]
) -> None:
    asked = "00000000-0000-4000-8000-0000000000aa"
    world.recorder.create(asked, ("builtin_image", common_pb2.MEDIA_KIND_IMAGE))
    await pause(world.recorder, asked)
    response = await world.client.post(DECISIONS.format(run_id=asked), json=_BODIES[DECISIONS])
    assert response.status_code == 200
    assert_as_documented(document, DECISIONS, response)


@pytest.mark.parametrize("route", [route for route in ROUTES if "{run_id}" in route])
@pytest.mark.parametrize("run_id", [RUN.upper(), "00000000-0000-4000-8000-000000000000"])
async def test_a_run_that_is_none_is_the_documented_404(
    world: World, document: dict[str, Any], route: str, run_id: str
) -> None:
    address = route.format(run_id=run_id, type="input", sequence=1, index=1)
    response = await world.client.request(ROUTES[route], address, json=_BODIES.get(route))
    assert response.status_code == 404
    assert response.json()["reason"] == "RUN_NOT_FOUND"
    assert response.json()["field"] == "run_id"
    assert_as_documented(document, route, response)


@pytest.mark.parametrize("route", [route for route in ROUTES if "{run_id}" in route])
async def test_an_unknown_parameter_is_the_documented_422(
    world: World, document: dict[str, Any], route: str
) -> None:
    address = route.format(run_id=RUN, type="input", sequence=1, index=1)
    body = _BODIES.get(route)
    response = await world.client.request(
        ROUTES[route], address, params={"colour": "red"}, json=body
    )
    assert response.status_code == 422
    assert response.json()["field"] == "colour"
    assert response.json()["reason"] == "UNKNOWN_FIELD"
    assert_as_documented(document, route, response)


async def test_the_example_of_the_document_is_accepted(
    world: World, document: dict[str, Any]
) -> None:
    (example,) = document["components"]["schemas"]["ExecuteRequest"]["examples"]
    response = await world.client.post("/api/schema/pipeline/execute", json=example)
    assert response.status_code == 200


async def test_the_page_of_the_document_needs_nobody_else(world: World) -> None:
    response = await world.client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    for route, method in ROUTES.items():
        assert f"{method.upper()} {route}" in response.text
    assert "<code>input_text</code>" in response.text
    assert "//" not in response.text
    assert "<script" not in response.text


async def test_every_field_of_the_request_is_documented(document: dict[str, Any]) -> None:
    text = DOCS.read_text()
    for name in document["components"]["schemas"]["ExecuteRequest"]["properties"]:
        assert f"| `{name}` |" in text
    for name in document["components"]["schemas"]["DecisionRequest"]["properties"]:
        assert f"`{name}`" in text


async def test_the_reasons_that_choose_a_status_are_documented() -> None:
    text = DOCS.read_text()
    for reason, status in STATUS_OF_REASON.items():
        row = next(line for line in text.splitlines() if f"`{reason}`" in line)
        assert str(status) in row.split("|")[1]
