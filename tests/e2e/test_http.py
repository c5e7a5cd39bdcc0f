"""Artlab as existing clients call it: HTTP in, files out, six real processes between."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from httpx_sse import aconnect_sse
from PIL import Image

from tests.support.processes import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

BLOCKED_TEXT = "Ein Mann wird mit dem Messer ermordet"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(artlab_running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=artlab_running.url, timeout=40.0, trust_env=False
    ) as client:
        yield client


async def execute(
    http: httpx.AsyncClient, text: str = "Eine Blume auf der Wiese", **fields: Any
) -> dict[str, Any]:
    body = {"schema": "dada", "input_text": text, **fields}
    response = await http.post("/api/schema/pipeline/execute", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def document_of(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = (await http.get(f"/api/pipeline/{run_id}/status")).json()
    return document


async def test_ready_says_that_all_services_serve(http: httpx.AsyncClient) -> None:
    answer = (await http.get("/ready")).json()
    assert answer["status"] == "ready"
    assert len(answer["services"]) == 5
    assert (await http.get("/health")).status_code == 200


async def test_a_run_answers_with_its_text_and_its_picture(
    http: httpx.AsyncClient, artlab_running: Running
) -> None:
    answer = await execute(http, execution_mode="eco", safety_level="kids")
    assert answer["status"] == "success"
    assert answer["final_output"].strip()
    [output] = answer["media_outputs"]
    assert (output["index"], output["config"], output["status"]) == (1, "builtin_image", "success")
    assert answer["media_output"] == output["url"]
    picture = await http.get(output["url"])
    assert picture.headers["content-type"] == "image/png"
    Image.open(io.BytesIO(picture.content)).verify()
    folder = artlab_running.run_folder(answer["run_id"])
    assert picture.content == (folder / "06_output_image.png").read_bytes()
    assert answer["final_output"] == (folder / "04_interception.txt").read_text()


async def test_the_status_is_metadata_json_as_it_stands(
    http: httpx.AsyncClient, artlab_running: Running
) -> None:
    run_id = (await execute(http))["run_id"]
    document = await document_of(http, run_id)
    on_disk = (artlab_running.run_folder(run_id) / "metadata.json").read_bytes()
    assert document == json.loads(on_disk)
    assert document["status"] == "succeeded"
    assert document["config_name"] == "dada"
    assert document["current_state"]["progress"] == "7/7"
    assert [entity["sequence"] for entity in document["entities"]] == list(range(1, 8))


async def test_every_entity_of_the_list_has_the_bytes_of_its_digest(
    http: httpx.AsyncClient,
) -> None:
    run_id = (await execute(http))["run_id"]
    listed = (await http.get(f"/api/pipeline/{run_id}/entities")).json()["entities"]
    assert len(listed) == 7
    for entity in listed:
        bytes_of = (await http.get(entity["url"])).content
        assert hashlib.sha256(bytes_of).hexdigest() == entity["sha256"], entity["type"]
        assert len(bytes_of) == entity["size_bytes"]
    typed = await http.get(f"/api/pipeline/{run_id}/entity/input")
    assert typed.text == "Eine Blume auf der Wiese"


async def test_blocked_at_stage_one_explains_itself_and_reaches_nobody(
    http: httpx.AsyncClient, artlab_running: Running
) -> None:
    answer = await execute(http, BLOCKED_TEXT, safety_level="kids", language="de")
    assert answer["status"] == "blocked"
    assert answer["final_output"] is None
    assert answer["media_output"] is None
    assert answer["block"]["stage"] == 1
    assert answer["block"]["rule"]
    assert answer["block"]["explanation"]
    assert answer["block"]["suggestion"]
    document = await document_of(http, answer["run_id"])
    assert [entity["type"] for entity in document["entities"]] == [
        "input",
        "safety",
        "explanation",
    ]
    assert not [e for e in document["events"] if e["kind"] == "stage_started" and _stage(e) > 1]
    for service in ("interception", "media"):
        assert "ermordet" not in artlab_running.log(service)


def _stage(event: dict[str, Any]) -> int:
    text = json.dumps(event)
    return next(stage for stage in (4, 3, 2, 1) if f'"stage": {stage}' in text)


async def test_one_of_three_outputs_failing_is_partial(http: httpx.AsyncClient) -> None:
    outputs = ["builtin_image", "sd35_large", "builtin_image"]
    answer = await execute(http, output_configs=outputs)
    assert answer["status"] == "partial"
    assert [output["config"] for output in answer["media_outputs"]] == outputs
    states = [output["status"] for output in answer["media_outputs"]]
    assert states == ["success", "not_available", "success"]
    assert [output["occurrence"] for output in answer["media_outputs"]] == [1, 1, 2]
    assert answer["media_outputs"][1]["reason"] == "OUTPUT_NOT_AVAILABLE"
    assert answer["media_outputs"][1]["url"] is None
    document = await document_of(http, answer["run_id"])
    assert [e["type"] for e in document["entities"]].count("error") == 1
    second = await http.get(f"/api/pipeline/{answer['run_id']}/entity/output_image?output=3")
    assert second.status_code == 200


async def test_pass_k_of_telephone_works_on_the_output_of_pass_k_minus_one(
    http: httpx.AsyncClient,
) -> None:
    answer = await execute(http, schema="stillepost", output_configs=["builtin_text"])
    document = await document_of(http, answer["run_id"])
    passes = [e for e in document["entities"] if e["type"] == "interception_pass"]
    assert [entity["pass"] for entity in passes] == list(range(1, 9))
    texts = [
        (await http.get(f"/api/pipeline/{answer['run_id']}/entity/interception_pass?pass={k}")).text
        for k in range(1, 9)
    ]
    assert len(set(texts)) > 1
    assert answer["final_output"] == texts[-1]


async def test_pig_latin_is_exact(http: httpx.AsyncClient) -> None:
    answer = await execute(
        http, "The quick flower", schema="piglatin", output_configs=["builtin_text"]
    )
    assert answer["final_output"] == "Ethay ickquay owerflay"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"schema": "impressionism"}, 404, "schema"),
        ({"output_configs": ["builtin_image", "gone"]}, 404, "output_configs[1]"),
        ({"input_text": ""}, 422, "input_text"),
        ({"safety_level": "research"}, 422, "safety_level"),
        ({"colour": "red"}, 422, "colour"),
        ({"schema": "../../etc"}, 422, "schema"),
        ({"seed": 2**53}, 422, "seed"),
        ({"context": "nur Kreise"}, 422, "context"),
        (
            {"output_configs": ["builtin_image"], "parameters": {"width": 63}},
            422,
            "parameters.width",
        ),
    ],
)
async def test_a_wrong_field_is_refused_by_name_and_makes_no_run(
    http: httpx.AsyncClient,
    artlab_running: Running,
    change: dict[str, Any],
    status: int,
    field: str,
) -> None:
    before = set(artlab_running.root.iterdir())
    body = {"schema": "dada", "input_text": "Eine Blume", **change}
    response = await http.post("/api/schema/pipeline/execute", json=body)
    assert (response.status_code, response.json()["field"]) == (status, field), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert set(artlab_running.root.iterdir()) == before


async def test_an_oversize_body_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.post(
        "/api/schema/pipeline/execute",
        content=b'{"schema": "dada", "input_text": "' + b"x" * 5_000_000 + b'"}',
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_run_accepted_at_once_can_be_followed_and_taken_up_again(
    http: httpx.AsyncClient,
) -> None:
    response = await http.post(
        "/api/schema/pipeline/execute",
        json={"schema": "dada", "input_text": "Eine Blume auf der Wiese"},
        headers={"Prefer": "respond-async"},
    )
    assert response.status_code == 202
    run_id = response.json()["run_id"]
    assert run_id in response.headers["location"]
    facts, kinds = await _follow(http, run_id, after=0)
    assert facts == list(range(1, len(facts) + 1))
    assert kinds[0] == "state_changed"
    assert kinds.count("entity_committed") == 7
    half = len(facts) // 2
    assert (await _follow(http, run_id, after=half))[0] == facts[half:]


async def _follow(http: httpx.AsyncClient, run_id: str, after: int) -> tuple[list[int], list[str]]:
    facts, kinds = [], []
    headers = {"Last-Event-ID": str(after)}
    async with aconnect_sse(
        http, "GET", f"/api/pipeline/{run_id}/events", headers=headers
    ) as source:
        async for event in source.aiter_sse():
            # The reader tells a line that only sets the time to reconnect as an empty event.
            if event.data and event.event not in ("text_delta", "render_progress"):
                facts.append(int(event.id))
                kinds.append(event.event)
    return facts, kinds


async def test_the_same_idempotency_key_is_the_same_run(http: httpx.AsyncClient) -> None:
    body = {"schema": "dada", "input_text": "Eine Blume"}
    headers = {"Idempotency-Key": "lesson-7-anna"}
    answers = [
        (await http.post("/api/schema/pipeline/execute", json=body, headers=headers)).json()
        for _ in range(2)
    ]
    assert answers[0]["run_id"] == answers[1]["run_id"]
    assert answers[0]["final_output"] == answers[1]["final_output"]
