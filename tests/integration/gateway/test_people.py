"""What people say to a run that waits, where it stands in line, and runs that go on from others."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2
from artlab.recorder.v1 import run_pb2
from services.kit.errors import (
    ArtlabError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from tests.fakes.orchestrator import PNG, ask, pause
from tests.fakes.recorder import FakeRecorder
from tests.integration.gateway.test_execute import IDEA, PATH, assert_problem
from tests.integration.gateway.world import RUN, World, gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "9d1c3ad7-6c5d-4c39-9f53-d52bd3f94d6b"


async def waiting_run(world: World, **more: Any) -> dict[str, Any]:
    world.orchestrator.script = ask
    response = await world.client.post(PATH, json={**IDEA, "pause_before_render": True, **more})
    assert response.status_code == 202, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def decide(world: World, run_id: str, question: int, **body: Any) -> httpx.Response:
    body = {"question": question, **body}
    return await world.client.post(f"/api/runs/{run_id}/decisions", json=body)


async def test_a_run_that_asks_is_answered_at_once_with_its_question(world: World) -> None:
    answer = await waiting_run(world)
    run_id = answer["run_id"]
    (question,) = answer["open_questions"]
    assert question == {
        "sequence": 3,
        "url": f"/api/pipeline/{run_id}/entities/3",
        "output_index": 0,
        "audience": "student",
    }
    assert (await world.client.get(question["url"])).json() == {"text": "Wiese"}
    assert answer["urls"]["decisions"] == f"/api/runs/{run_id}/decisions"
    listed = (await world.client.get(answer["urls"]["entities"])).json()
    assert listed["open_questions"] == answer["open_questions"]
    assert world.orchestrator.requests[0].pause_before_render


@pytest.mark.parametrize("word", ["approve", "edit", "reject"])
async def test_a_decision_is_handed_on_and_the_run_goes_on(world: World, word: str) -> None:
    run_id = (await waiting_run(world))["run_id"]
    more = {"text": "Eine Wiese ohne Blüte"} if word == "edit" else {}
    response = await decide(world, run_id, 3, decision=word, user_id="anna", **more)
    assert response.status_code == 200, response.text
    assert response.json()["open_questions"] == []
    (said,) = world.orchestrator.decisions
    assert said == orchestrator_pb2.ResumeRunRequest(
        name=f"runs/{run_id}",
        question=3,
        decision=getattr(orchestrator_pb2, f"DECISION_{word.upper()}"),
        text=more.get("text", ""),
        user_id="anna",
        is_teacher=False,
    )
    again = await decide(world, run_id, 3, decision=word, user_id="anna", **more)
    assert again.status_code == 200


async def test_a_second_answer_that_differs_is_a_conflict(world: World) -> None:
    run_id = (await waiting_run(world))["run_id"]
    await decide(world, run_id, 3, decision="approve")
    assert_problem(await decide(world, run_id, 3, decision="reject"), 409, "ALREADY_DECIDED")
    assert_problem(await decide(world, run_id, 1, decision="reject"), 404, "QUESTION_NOT_FOUND")


async def test_who_asks_with_the_same_key_waits_again_once_it_is_answered(world: World) -> None:
    world.orchestrator.script = ask
    headers = {"Idempotency-Key": "paused"}
    body = {**IDEA, "pause_before_render": True}
    first = await world.client.post(PATH, json=body, headers=headers)
    assert first.status_code == 202
    await decide(world, first.json()["run_id"], 3, decision="approve")
    second = await world.client.post(PATH, json=body, headers=headers)
    assert (second.status_code, second.json()["status"]) == (200, "success")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"decision": "perhaps"}, "decision", "INVALID_ENUM"),
        ({"decision": None}, "decision", "INVALID_ENUM"),
        ({"question": 0}, "question", "OUT_OF_BOUNDS"),
        ({"question": "3"}, "question", "INVALID_TYPE"),
        ({"question": True}, "question", "INVALID_TYPE"),
        ({"text": "x" * 20_001}, "text", "TEXT_TOO_LONG"),
        ({"text": "a\u0000b"}, "text", "INVALID_CHARACTER"),
        ({"user_id": "Anna"}, "user_id", "INVALID_USER_ID"),
        ({"is_teacher": True}, "is_teacher", "UNKNOWN_FIELD"),
    ],
)
async def test_a_wrong_field_of_a_decision_is_named_and_reaches_nobody(
    world: World, change: dict[str, Any], field: str, reason: str
) -> None:
    body = {"question": 3, "decision": "approve", **change}
    response = await world.client.post(f"/api/runs/{RUN}/decisions", json=body)
    assert assert_problem(response, 422, reason)["field"] == field
    assert world.orchestrator.decisions == []


def ask_a_teacher(recorder: FakeRecorder) -> None:
    recorder.create(RUN, ("builtin_image", common_pb2.MEDIA_KIND_IMAGE))
    recorder.state(RUN, run_pb2.RUN_STATE_RUNNING)
    recorder.commit(
        RUN, "output_image", PNG, media_type="image/png", suffix="png", stage=4, output_index=1
    )


async def test_what_a_teacher_decides_needs_a_server_for_teachers(world: World) -> None:
    ask_a_teacher(world.recorder)
    await pause(world.recorder, RUN, 1, run_pb2.AUDIENCE_RESEARCH)
    refused = await decide(world, RUN, 2, decision="approve")
    assert_problem(refused, 403, "DECISION_NOT_YOURS")
    async with gateway(teacher_decisions=True) as of_teachers:
        ask_a_teacher(of_teachers.recorder)
        await pause(of_teachers.recorder, RUN, 1, run_pb2.AUDIENCE_RESEARCH)
        assert (await decide(of_teachers, RUN, 2, decision="approve")).status_code == 200
        assert of_teachers.orchestrator.decisions[0].is_teacher


async def test_a_teacher_sees_the_output_before_the_answer_and_nobody_else_does(
    world: World,
) -> None:
    address = f"/api/pipeline/{RUN}/entities/1"
    ask_a_teacher(world.recorder)
    await pause(world.recorder, RUN, 1)
    assert_problem(await world.client.get(address), 404, "ENTITY_WITHHELD")
    async with gateway(teacher_decisions=True) as of_teachers:
        ask_a_teacher(of_teachers.recorder)
        # Before the question its checks are not all made.
        assert_problem(await of_teachers.client.get(address), 404, "ENTITY_WITHHELD")
        await pause(of_teachers.recorder, RUN, 1)
        assert (await of_teachers.client.get(address)).content == PNG
        listed = await of_teachers.client.get(f"/api/pipeline/{RUN}/entities")
        assert listed.json()["entities"][0]["available"] is True
        by_type = await of_teachers.client.get(f"/api/pipeline/{RUN}/entity/output_image")
        assert by_type.content == PNG


async def test_a_run_that_waits_in_line_tells_its_place(world: World) -> None:
    async def wait(recorder: FakeRecorder, run_id: str, _: object) -> None:
        """Nobody has time for it."""

    world.orchestrator.script = wait
    world.orchestrator.place = orchestrator_pb2.GetQueuePositionResponse(
        position=4, estimated_wait=Duration(seconds=20), estimated_total=Duration(seconds=31)
    )
    response = await world.client.post(PATH, json=IDEA, headers={"Prefer": "respond-async"})
    answer = response.json()
    place = {"position": 4, "estimated_wait_seconds": 20.0, "estimated_total_seconds": 31.0}
    assert (response.status_code, answer["status"], answer["queue"]) == (202, "pending", place)
    later = await world.client.get(answer["urls"]["queue"])
    assert later.json() == {"run_id": answer["run_id"], **place}
    world.orchestrator.place = orchestrator_pb2.GetQueuePositionResponse(position=0)
    later = await world.client.get(answer["urls"]["queue"])
    assert later.json()["estimated_wait_seconds"] is None


async def test_a_run_is_accepted_though_nobody_knows_its_place(world: World) -> None:
    async def wait(recorder: FakeRecorder, run_id: str, _: object) -> None:
        """Nobody has time for it."""

    world.orchestrator.script = wait
    response = await world.client.post(PATH, json=IDEA, headers={"Prefer": "respond-async"})
    assert (response.status_code, response.json()["queue"]) == (202, None)
    asked = await world.client.get(response.json()["urls"]["queue"])
    assert_problem(asked, 503, "QUEUE_AWAY")


async def test_pipelines_are_listed(world: World) -> None:
    answer = (await world.client.get("/api/pipelines")).json()
    assert [pipeline["name"] for pipeline in answer["pipelines"]] == ["four_stages", "text_only"]
    assert answer["pipelines"][0]["title"] == {"en": "Four stages", "de": "Vier Stufen"}
    assert answer["pipelines"][0]["steps"][0] == "translation_and_safety"
    assert answer["pipelines"][0]["mermaid"].startswith("flowchart")


async def test_a_rerun_sends_what_is_set_and_tells_where_it_comes_from(world: World) -> None:
    rerun = {"run_id": OTHER, "from_stage": 3, "text": "Ein anderer Text"}
    body = {"rerun": rerun, "output_configs": ["flux2"], "seed": 4, "pipeline": "text_only"}
    response = await world.client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    assert (response.json()["parent"], response.json()["parent_sequence"]) == (OTHER, 4)
    (request,) = world.orchestrator.requests
    assert request.rerun == orchestrator_pb2.Rerun(
        parent=f"runs/{OTHER}", from_stage=3, text="Ein anderer Text"
    )
    assert (request.config_name, request.input_text, request.pipeline) == ("", "", "text_only")
    # What is unset is the parent's.
    assert request.execution_mode == common_pb2.EXECUTION_MODE_UNSPECIFIED
    assert (list(request.output_configs), request.seed) == (["flux2"], 4)


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "schema", "MISSING_FIELD"),
        ({"schema": "dada"}, "input_text", "MISSING_FIELD"),
        ({"rerun": {"run_id": OTHER}}, "rerun.from_stage", "MISSING_FIELD"),
        ({"rerun": {"run_id": OTHER, "from_stage": 1}}, "rerun.from_stage", "OUT_OF_BOUNDS"),
        ({"rerun": {"run_id": OTHER, "from_stage": 5}}, "rerun.from_stage", "OUT_OF_BOUNDS"),
        ({"rerun": {"run_id": "x", "from_stage": 2}}, "rerun.run_id", "INVALID_RUN_ID"),
        ({"rerun": {"run_id": OTHER, "from_stage": 2, "to": 3}}, "rerun.to", "UNKNOWN_FIELD"),
        ({**IDEA, "pipeline": "../x"}, "pipeline", "INVALID_CONFIG_NAME"),
        ({**IDEA, "pause_before_render": 1}, "pause_before_render", "INVALID_TYPE"),
    ],
)
async def test_a_wrong_field_of_a_run_to_go_on_from_is_named(
    world: World, body: dict[str, Any], field: str, reason: str
) -> None:
    problem = assert_problem(await world.client.post(PATH, json=body), 422, reason)
    assert problem["field"] == field
    assert world.orchestrator.requests == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("PIPELINE_NOT_FOUND", "no such pipeline", field="pipeline"), 404),
        (NotFound("PARENT_NOT_FOUND", "no such run", field="rerun.parent"), 404),
        (FailedPrecondition("PARENT_INCOMPLETE", "it did not come as far"), 409),
        (InvalidArgument("TEXT_NOT_EXPECTED", "only from stage 3", field="rerun.text"), 422),
        (ResourceExhausted("TOO_MANY_RUNS_OF_PERSON", "wait", retry_after_seconds=7.0), 429),
    ],
)
async def test_what_the_orchestrator_refuses_has_its_status(
    world: World, error: ArtlabError, status: int
) -> None:
    world.orchestrator.refusal = error
    response = await world.client.post(PATH, json=IDEA)
    problem = assert_problem(response, status, error.reason)
    if status == 429:
        assert (response.headers["retry-after"], problem["retry_after"]) == ("7", 7.0)
    if error.field == "rerun.parent":
        assert problem["field"] == "rerun.run_id"
