"""Every RPC of the orchestrator answers each malformed field with the field's path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from artlab.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from artlab.recorder.v1 import recorder_pb2_grpc
from services.kit.channel import open_channel
from services.kit.clock import SystemClock
from services.orchestrator.clients.interception import InterceptionClient
from services.orchestrator.clients.media import MediaClient
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.clients.safety import SafetyClient
from services.orchestrator.decisions import Decisions
from services.orchestrator.position import Positions
from services.orchestrator.queue.view import QueueView
from services.orchestrator.run_in_work import Services
from services.orchestrator.servicer import OrchestratorServicer
from tests.support.pipelines import PIPELINES
from tests.support.rpc import refused
from tests.support.servers import channel_to
from tests.support.supervised import supervise

ID = "528e5af9-59b3-4551-b101-27e13dd6e43e"
# Nothing listens here: a request that is refused must be refused without asking anybody.
NOWHERE = "127.0.0.1:9"

if TYPE_CHECKING:
    Stub = orchestrator_pb2_grpc.OrchestratorServiceAsyncStub
Start = orchestrator_pb2.StartRunRequest
Rerun = orchestrator_pb2.Rerun


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with open_channel(NOWHERE) as nowhere:
        recorder = RecorderClient(nowhere)
        supervisor = supervise(
            Services(
                recorder,
                SafetyClient(nowhere),
                InterceptionClient(nowhere),
                MediaClient(nowhere),
            )
        )
        clock = SystemClock()
        servicer = OrchestratorServicer(
            supervisor,
            recorder_pb2_grpc.RecorderServiceStub(nowhere),
            decisions=Decisions(recorder, supervisor.wake, clock),
            pipelines=PIPELINES,
            positions=Positions(recorder, QueueView(recorder, clock), clock, 1),
        )

        def register(server: grpc.aio.Server) -> None:
            orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)

        async with channel_to("orchestrator", register) as channel:
            yield orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
        await supervisor.drain()


def _start(**fields: object) -> Start:
    request = Start(request_id=ID, config_name="dada", input_text="Blume", user_id="anonymous")
    change = Start(**fields)  # type: ignore[arg-type]
    for name in fields:
        request.ClearField(name)  # type: ignore[arg-type]
    request.MergeFrom(change)
    return request


BAD_FIELDS = [
    ({"request_id": ""}, "INVALID_RUN_ID", "request_id"),
    ({"request_id": ID.upper()}, "INVALID_RUN_ID", "request_id"),
    ({"config_name": ""}, "INVALID_CONFIG_NAME", "config_name"),
    ({"config_name": "../dada"}, "INVALID_CONFIG_NAME", "config_name"),
    ({"input_text": ""}, "EMPTY_TEXT", "input_text"),
    ({"input_text": "a\x00b"}, "INVALID_CHARACTER", "input_text"),
    ({"input_text": "a" * 20_001}, "TEXT_TOO_LONG", "input_text"),
    ({"user_id": ""}, "INVALID_USER_ID", "user_id"),
    ({"user_id": "anna@schule.example"}, "INVALID_USER_ID", "user_id"),
    ({"context": "\x1b"}, "INVALID_CHARACTER", "context"),
    ({"output_configs": ["a"] * 17}, "TOO_MANY_OUTPUTS", "output_configs"),
    ({"output_configs": ["a", "B"]}, "INVALID_CONFIG_NAME", "output_configs[1]"),
    ({"safety_level": 99}, "INVALID_ENUM", "safety_level"),
    ({"execution_mode": 99}, "INVALID_ENUM", "execution_mode"),
    ({"seed": -1}, "INVALID_SEED", "seed"),
    ({"seed": 2**53}, "INVALID_SEED", "seed"),
    ({"language": "not a language"}, "INVALID_LANGUAGE", "language"),
    ({"input_images": -1}, "OUT_OF_BOUNDS", "input_images"),
    ({"input_images": 5}, "OUT_OF_BOUNDS", "input_images"),
    ({"parameters": {"Breite": "1"}}, "UNKNOWN_PARAMETER", "parameters"),
    ({"parameters": {f"p{n}": "1" for n in range(65)}}, "TOO_MANY_PARAMETERS", "parameters"),
    ({"parameters": {"width": "wide"}}, "INVALID_PARAMETER", "parameters.width"),
    ({"parameters": {"width": "[1]"}}, "INVALID_PARAMETER", "parameters.width"),
    ({"parameters": {"width": "NaN"}}, "INVALID_PARAMETER", "parameters.width"),
    ({"parameters": {"text": '"\\u0000"'}}, "INVALID_CHARACTER", "parameters.text"),
    ({"parameters": {"text": '"%s"' % ("a" * 20_001)}}, "TEXT_TOO_LONG", "parameters.text"),
    ({"pipeline": "Four Stages"}, "INVALID_CONFIG_NAME", "pipeline"),
    ({"pipeline": "a" * 65}, "INVALID_CONFIG_NAME", "pipeline"),
    ({"rerun": Rerun()}, "INVALID_NAME", "rerun.parent"),
    ({"rerun": Rerun(parent=ID, from_stage=2)}, "INVALID_NAME", "rerun.parent"),
    *[
        ({"rerun": Rerun(parent=f"runs/{ID}", from_stage=at)}, "OUT_OF_BOUNDS", "rerun.from_stage")
        for at in (-1, 0, 1, 5)
    ],
    (
        {"rerun": Rerun(parent=f"runs/{ID}", from_stage=2, text="Baum")},
        "TEXT_NOT_EXPECTED",
        "rerun.text",
    ),
    (
        {"rerun": Rerun(parent=f"runs/{ID}", from_stage=3, text="a\x00")},
        "INVALID_CHARACTER",
        "rerun.text",
    ),
    (
        {"rerun": Rerun(parent=f"runs/{ID}", from_stage=3), "config_name": "../dada"},
        "INVALID_CONFIG_NAME",
        "config_name",
    ),
    (
        {"rerun": Rerun(parent=f"runs/{ID}", from_stage=3), "input_text": "\x1b"},
        "INVALID_CHARACTER",
        "input_text",
    ),
]


@pytest.mark.parametrize(("fields", "reason", "field"), BAD_FIELDS)
async def test_start_run_names_the_malformed_field(
    stub: Stub, fields: dict[str, object], reason: str, field: str
) -> None:
    async with refused("INVALID_ARGUMENT", reason, field):
        await stub.StartRun(_start(**fields), timeout=5)


@pytest.mark.parametrize("name", ["", ID, "run/x", f"runs/{ID}/", "runs/" + "x" * 1_000_000])
async def test_cancel_run_names_the_malformed_field(stub: Stub, name: str) -> None:
    async with refused("INVALID_ARGUMENT", "INVALID_NAME", "name"):
        await stub.CancelRun(orchestrator_pb2.CancelRunRequest(name=name), timeout=5)


@pytest.mark.parametrize("name", ["", ID, "run/x", f"runs/{ID}/"])
async def test_get_queue_position_names_the_malformed_field(stub: Stub, name: str) -> None:
    async with refused("INVALID_ARGUMENT", "INVALID_NAME", "name"):
        await stub.GetQueuePosition(orchestrator_pb2.GetQueuePositionRequest(name=name), timeout=5)


BAD_ANSWERS = [
    ({"name": ""}, "INVALID_NAME", "name"),
    ({"name": ID}, "INVALID_NAME", "name"),
    ({"question": 0}, "INVALID_SEQUENCE", "question"),
    ({"question": -1}, "INVALID_SEQUENCE", "question"),
    ({"question": 1_000_000}, "INVALID_SEQUENCE", "question"),
    ({"decision": 0}, "INVALID_ENUM", "decision"),
    ({"decision": 99}, "INVALID_ENUM", "decision"),
    ({"decision": orchestrator_pb2.DECISION_EDIT}, "TEXT_REQUIRED", "text"),
    ({"decision": orchestrator_pb2.DECISION_EDIT, "text": " \n"}, "TEXT_REQUIRED", "text"),
    (
        {"decision": orchestrator_pb2.DECISION_EDIT, "text": "a" * 20_001},
        "TEXT_TOO_LONG",
        "text",
    ),
    ({"decision": orchestrator_pb2.DECISION_EDIT, "text": "\x00"}, "INVALID_CHARACTER", "text"),
    ({"text": "Ein Baum"}, "TEXT_NOT_EXPECTED", "text"),
    ({"decision": orchestrator_pb2.DECISION_REJECT, "text": "No"}, "TEXT_NOT_EXPECTED", "text"),
    ({"user_id": ""}, "INVALID_USER_ID", "user_id"),
    ({"user_id": "Anna"}, "INVALID_USER_ID", "user_id"),
]


@pytest.mark.parametrize(("fields", "reason", "field"), BAD_ANSWERS)
async def test_resume_run_names_the_malformed_field(
    stub: Stub, fields: dict[str, object], reason: str, field: str
) -> None:
    values: dict[str, object] = {
        "name": f"runs/{ID}",
        "question": 5,
        "decision": orchestrator_pb2.DECISION_APPROVE,
        "user_id": "anna",
    }
    request = orchestrator_pb2.ResumeRunRequest(**(values | fields))  # type: ignore[arg-type]
    async with refused("INVALID_ARGUMENT", reason, field):
        await stub.ResumeRun(request, timeout=5)


async def test_an_answer_nobody_can_record_is_worth_a_retry(stub: Stub) -> None:
    request = orchestrator_pb2.ResumeRunRequest(
        name=f"runs/{ID}",
        question=5,
        decision=orchestrator_pb2.DECISION_APPROVE,
        user_id="anna",
    )
    async with refused("UNAVAILABLE", "RECORDER_UNAVAILABLE") as seen:
        await stub.ResumeRun(request, timeout=10)
    assert seen.retry_after_seconds is not None


async def test_pipelines_are_listed_whoever_is_away(stub: Stub) -> None:
    answer = await stub.ListPipelines(orchestrator_pb2.ListPipelinesRequest(), timeout=5)
    assert [one.name for one in answer.pipelines] == sorted(PIPELINES)


BAD_PICTURES = [
    ({"name": ""}, "INVALID_NAME", "name"),
    ({"name": ID}, "INVALID_NAME", "name"),
    ({"index": 0}, "OUT_OF_BOUNDS", "index"),
    ({"index": 5}, "OUT_OF_BOUNDS", "index"),
    ({"index": -1}, "OUT_OF_BOUNDS", "index"),
]


@pytest.mark.parametrize(("fields", "reason", "field"), BAD_PICTURES)
async def test_add_input_image_names_the_malformed_field(
    stub: Stub, fields: dict[str, object], reason: str, field: str
) -> None:
    values = {"name": f"runs/{ID}", "index": 1, "data": b"picture"} | fields
    request = orchestrator_pb2.AddInputImageRequest(**values)  # type: ignore[arg-type]
    async with refused("INVALID_ARGUMENT", reason, field):
        await stub.AddInputImage(iter([request]), timeout=5)


async def test_a_picture_without_a_message_names_no_run(stub: Stub) -> None:
    async with refused("INVALID_ARGUMENT", "INVALID_NAME", "name"):
        await stub.AddInputImage(iter([]), timeout=5)


async def test_a_peer_that_is_away_is_named_and_worth_a_retry(stub: Stub) -> None:
    async with refused("UNAVAILABLE", "RECORDER_UNAVAILABLE") as seen:
        await stub.StartRun(_start(), timeout=10)
    assert seen.retry_after_seconds is not None
