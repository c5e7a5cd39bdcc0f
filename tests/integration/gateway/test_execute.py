"""POST /api/schema/pipeline/execute, as its clients see it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2
from artlab.recorder.v1 import run_pb2
from services.kit.errors import (
    AlreadyExists,
    ArtlabError,
    DataLoss,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from tests.fakes.orchestrator import PNG
from tests.fakes.recorder import FakeRecorder
from tests.integration.gateway.world import World, gateway
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/api/schema/pipeline/execute"
IDEA = {"schema": "dada", "input_text": "Eine Blume auf der Wiese"}

StartRun = orchestrator_pb2.StartRunRequest


def assert_problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["reason"] == reason
    return problem


def blocked(stage: int) -> run_pb2.RunError:
    return run_pb2.RunError(reason="SAFETY_BLOCKED", message="kids.violence", stage=stage)


VERDICT = (
    b'{"stage": 1, "decision": "blocked", "rule": "kids.violence", "terms": ["Messer"],'
    b' "explanation": "Das ist nichts fuer Kinder.", "suggestion": "Versuch es anders.",'
    b' "alternative": "Ein Ritter und ein Drache",'
    b' "language": "de"}'
)


async def block_at_stage_1(recorder: FakeRecorder, run_id: str, _: StartRun) -> None:
    recorder.state(run_id, run_pb2.RUN_STATE_RUNNING)
    recorder.commit(run_id, "translation", b"a knife", stage=1)
    recorder.commit(run_id, "safety", VERDICT, media_type="application/json", stage=1)
    recorder.output(run_id, 1, run_pb2.RUN_STATE_BLOCKED, blocked(1))
    recorder.state(run_id, run_pb2.RUN_STATE_BLOCKED, blocked(1))


async def one_of_three_fails(recorder: FakeRecorder, run_id: str, _: StartRun) -> None:
    recorder.state(run_id, run_pb2.RUN_STATE_RUNNING)
    recorder.commit(run_id, "interception", b"text", stage=2)
    for index in (1, 3):
        recorder.commit(
            run_id, "output_image", PNG, media_type="image/png", stage=4, output_index=index
        )
        recorder.output(run_id, index, run_pb2.RUN_STATE_SUCCEEDED)
    error = run_pb2.RunError(reason="COMFY_LOST", message="gone", stage=4, retryable=True)
    recorder.output(run_id, 2, run_pb2.RUN_STATE_FAILED, error)
    recorder.state(run_id, run_pb2.RUN_STATE_PARTIAL)


async def go_on_for_ever(recorder: FakeRecorder, run_id: str, _: StartRun) -> None:
    recorder.state(run_id, run_pb2.RUN_STATE_RUNNING)


async def test_a_run_that_ends_within_the_wait_is_answered_with_its_outcome(world: World) -> None:
    response = await world.client.post(PATH, json={**IDEA, "safety_level": "kids", "seed": 3})
    assert response.status_code == 200
    answer = response.json()
    run_id = answer["run_id"]
    assert answer["status"] == "success"
    assert answer["final_output"] == "Blüte ohne Wiese"
    assert answer["media_output"] == f"/api/pipeline/{run_id}/entities/5"
    assert answer["media_outputs"] == [
        {
            "index": 1,
            "config": "builtin_image",
            "occurrence": 1,
            "media_type": "image",
            "status": "success",
            "url": answer["media_output"],
            "content_type": "image/png",
            "size_bytes": len(PNG),
            "files": [
                {
                    "sequence": 5,
                    "url": answer["media_output"],
                    "content_type": "image/png",
                    "size_bytes": len(PNG),
                }
            ],
            "reason": None,
            "error": None,
            "block": None,
        }
    ]
    assert answer["block"] is None
    assert answer["error"] is None
    request = world.orchestrator.requests[0]
    assert request.request_id == run_id
    assert request.config_name == "dada"
    assert request.input_text == IDEA["input_text"]
    assert request.user_id == "anonymous"
    assert request.safety_level == common_pb2.SAFETY_LEVEL_KIDS
    assert request.execution_mode == common_pb2.EXECUTION_MODE_ECO
    assert request.HasField("seed")
    assert request.seed == 3


async def test_a_seed_that_was_not_given_is_not_sent(world: World) -> None:
    await world.client.post(PATH, json=IDEA)
    assert not world.orchestrator.requests[0].HasField("seed")
    assert world.orchestrator.requests[0].safety_level == 0


async def test_a_blocked_run_explains_itself_without_terms_or_text(world: World) -> None:
    world.orchestrator.script = block_at_stage_1
    response = await world.client.post(PATH, json=IDEA)
    assert response.status_code == 200
    answer = response.json()
    assert answer["status"] == "blocked"
    assert answer["final_output"] is None
    assert answer["media_output"] is None
    assert answer["block"] == {
        "stage": 1,
        "rule": "kids.violence",
        "explanation": "Das ist nichts fuer Kinder.",
        "suggestion": "Versuch es anders.",
        "alternative": "Ein Ritter und ein Drache",
        "language": "de",
    }
    assert answer["media_outputs"][0]["status"] == "blocked"
    assert answer["media_outputs"][0]["reason"] == "SAFETY_BLOCKED"
    assert answer["media_outputs"][0]["block"] == answer["block"]
    assert answer["error"] is None
    assert "Messer" not in response.text


async def test_one_failed_output_of_three_leaves_the_others(world: World) -> None:
    world.orchestrator.script = one_of_three_fails
    response = await world.client.post(PATH, json={**IDEA, "output_configs": ["a", "b", "a"]})
    answer = response.json()
    assert answer["status"] == "partial"
    outputs = answer["media_outputs"]
    assert [o["status"] for o in outputs] == ["success", "error", "success"]
    assert [o["occurrence"] for o in outputs] == [1, 1, 2]
    assert outputs[1]["url"] is None
    assert outputs[1]["error"] == {
        "reason": "COMFY_LOST",
        "message": "gone",
        "stage": 4,
        "retryable": True,
    }
    assert answer["media_output"] == outputs[0]["url"]


async def test_a_failed_run_says_why(world: World) -> None:
    async def fail(recorder: FakeRecorder, run_id: str, _: StartRun) -> None:
        error = run_pb2.RunError(reason="LLM_UNAVAILABLE", message="no writer", stage=2)
        recorder.state(run_id, run_pb2.RUN_STATE_FAILED, error)

    world.orchestrator.script = fail
    answer = (await world.client.post(PATH, json=IDEA)).json()
    assert answer["status"] == "error"
    assert answer["error"]["reason"] == "LLM_UNAVAILABLE"
    assert answer["final_output"] is None


async def test_respond_async_answers_at_once_with_a_location(world: World) -> None:
    world.orchestrator.script = go_on_for_ever
    response = await world.client.post(PATH, json=IDEA, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    answer = response.json()
    assert response.headers["location"] == f"/api/pipeline/{answer['run_id']}/status"
    assert response.headers["preference-applied"] == "respond-async"
    assert answer["status"] in ("pending", "running")
    own = {"input_images", "decisions", "queue"}
    assert set(answer["urls"]) == {"status", "entities", "events", "cancel"} | own
    assert (await world.client.get(response.headers["location"])).status_code == 200


async def test_a_wait_that_runs_out_answers_202_and_the_run_goes_on(world: World) -> None:
    world.orchestrator.script = go_on_for_ever
    response = await world.client.post(PATH, json=IDEA, headers={"Prefer": "wait=1"})
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "wait=1"
    assert response.json()["status"] == "running"


async def test_a_watch_that_is_cut_is_resumed_while_waiting(world: World) -> None:
    begun = asyncio.Event()

    async def cut(recorder: FakeRecorder, run_id: str, request: StartRun) -> None:
        recorder.state(run_id, run_pb2.RUN_STATE_RUNNING)
        await eventually(lambda: bool(recorder.open_watches))
        begun.set()
        recorder.cut_watches(run_id, Unavailable("DRAINING", "stopping"))
        await eventually(lambda: recorder.calls["WatchRun"] >= 2)
        recorder.state(run_id, run_pb2.RUN_STATE_SUCCEEDED)

    world.orchestrator.script = cut
    response = await world.client.post(PATH, json=IDEA)
    assert begun.is_set()
    assert response.status_code == 200
    assert response.json()["status"] == "success"


async def test_the_same_idempotency_key_is_the_same_run(world: World) -> None:
    headers = {"Idempotency-Key": "workshop 1/kid-7"}
    first = (await world.client.post(PATH, json=IDEA, headers=headers)).json()
    second = (await world.client.post(PATH, json=IDEA, headers=headers)).json()
    other = (
        await world.client.post(PATH, json={**IDEA, "user_id": "kid-8"}, headers=headers)
    ).json()
    assert first["run_id"] == second["run_id"] != other["run_id"]
    assert len(world.recorder.runs) == 2


@pytest.mark.parametrize("key", [b"", b"x" * 201, "kä".encode(), b"a\tb"])
async def test_a_malformed_idempotency_key_is_refused(world: World, key: bytes) -> None:
    headers = [(b"Idempotency-Key", key)]
    response = await world.client.post(PATH, json=IDEA, headers=headers)
    problem = assert_problem(response, 422, "INVALID_IDEMPOTENCY_KEY")
    assert problem["field"] == "Idempotency-Key"
    assert not world.orchestrator.requests


async def test_a_client_that_goes_away_does_not_cancel_the_run(world: World) -> None:
    world.orchestrator.script = go_on_for_ever
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    body = b'{"schema": "dada", "input_text": "x"}'
    writer.write(
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (PATH.encode(), len(body), body)
    )
    await eventually(lambda: bool(world.recorder.open_watches))
    writer.close()
    # The gateway stops waiting, and watching, for a client that is gone.
    await eventually(lambda: not (world.recorder.open_watches or world.ends.watches))
    (run,) = world.recorder.runs.values()
    assert run.run.state == run_pb2.RUN_STATE_RUNNING


@pytest.mark.parametrize(
    ("error", "status", "field"),
    [
        (NotFound("CONFIG_NOT_FOUND", "no such recipe", field="config_name"), 404, "schema"),
        (
            NotFound("CONFIG_NOT_FOUND", "no such output", field="output_configs[1]"),
            404,
            "output_configs[1]",
        ),
        (
            PermissionDenied("SAFETY_LEVEL_TOO_LAX", "only stricter", field="safety_level"),
            422,
            "safety_level",
        ),
        (AlreadyExists("REQUEST_ID_REUSED", "other content"), 409, None),
        (ResourceExhausted("TOO_MANY_RUNS", "later", retry_after_seconds=2.5), 429, None),
        (Unavailable("SAFETY_UNAVAILABLE", "away"), 503, None),
    ],
)
async def test_what_the_orchestrator_refuses_is_a_problem(
    world: World, error: ArtlabError, status: int, field: str | None
) -> None:
    world.orchestrator.refusal = error
    response = await world.client.post(PATH, json=IDEA)
    problem = assert_problem(response, status, error.reason)
    assert problem.get("field") == field
    if status in (429, 503):
        assert int(response.headers["retry-after"]) >= 1
        assert problem["retry_after"] > 0
    assert not world.recorder.runs


async def test_an_orchestrator_that_is_away_is_503(world: World) -> None:
    async with gateway(away=("orchestrator",)) as lonely:
        response = await lonely.client.post(PATH, json=IDEA)
    assert_problem(response, 503, "ORCHESTRATOR_UNAVAILABLE")


async def test_one_address_may_not_start_runs_without_end() -> None:
    async with gateway(starts_per_minute=5) as world:
        headers = {"Prefer": "respond-async", "X-Forwarded-For": "1.2.3.4"}
        answers = [await world.client.post(PATH, json=IDEA, headers=headers) for _ in range(5)]
        headers["X-Forwarded-For"] = "5.6.7.8"
        refused = await world.client.post(PATH, json=IDEA, headers=headers)
    assert [a.status_code for a in answers] == [202] * 5
    problem = assert_problem(refused, 429, "TOO_MANY_STARTS")
    assert 0 < problem["retry_after"] <= 12
    assert int(refused.headers["retry-after"]) <= 12


async def test_requests_that_wait_have_a_number() -> None:
    async with gateway(max_waiting=1) as world:
        world.orchestrator.script = go_on_for_ever
        waiting = asyncio.ensure_future(
            world.client.post(PATH, json=IDEA, headers={"Prefer": "wait=5"})
        )
        await eventually(lambda: bool(world.recorder.open_watches))
        assert_problem(await world.client.post(PATH, json=IDEA), 429, "TOO_MANY_WAITING")
        # What is refused has started nothing; who does not wait needs no place.
        assert len(world.recorder.runs) == 1
        run_id = next(iter(world.recorder.runs))
        world.recorder.state(run_id, run_pb2.RUN_STATE_CANCELLED)
        assert (await waiting).json()["status"] == "cancelled"


async def test_a_server_that_stops_answers_202_to_those_who_wait() -> None:
    async with gateway() as world:
        world.orchestrator.script = go_on_for_ever
        waiting = asyncio.ensure_future(world.client.post(PATH, json=IDEA))
        await eventually(lambda: bool(world.recorder.open_watches))
        await world.ends.drain()
        response = await waiting
    assert response.status_code == 202


async def test_a_run_that_began_is_202_though_its_outcome_cannot_be_read(world: World) -> None:
    world.recorder.failures["GetRun"] = [DataLoss("RUN_QUARANTINED", "damaged")]
    response = await world.client.post(PATH, json=IDEA)
    assert response.status_code == 202
    assert response.headers["location"].endswith("/status")
    assert len(world.recorder.runs) == 1
