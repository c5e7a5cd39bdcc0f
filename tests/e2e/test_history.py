"""What a run's record tells for ever, read through gRPC from six services as they are."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.channel import open_channel
from tests.fakes.comfyui.nodes import node_table
from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import fake_comfyui
from tests.support.client import client_of, start_run
from tests.support.eventually import eventually
from tests.support.processes import Running, six_services

pytestmark = pytest.mark.asyncio(loop_scope="module")

S, A, R = run_pb2.AUDIENCE_STUDENT, run_pb2.AUDIENCE_ADVANCED, run_pb2.AUDIENCE_RESEARCH
SUCCEEDED, BLOCKED = run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_BLOCKED
FAILED, CANCELLED = run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED
NOT_AVAILABLE = run_pb2.RUN_STATE_NOT_AVAILABLE
FINAL = {SUCCEEDED, BLOCKED, FAILED, CANCELLED, run_pb2.RUN_STATE_PARTIAL}

AUDIENCES = {
    "input": S,
    "translation": A,
    "safety": R,
    "interception_pass": A,
    "interception": S,
    "media_prompt": A,
    "safety_pre_output": R,
    "safety_image": R,
    "explanation": S,
    "output_image": S,
    "output_text": S,
    "error": A,
}
STAGES = {
    "input": 0,
    "translation": 1,
    "safety": 1,
    "interception_pass": 2,
    "interception": 2,
    "media_prompt": 3,
    "safety_pre_output": 3,
    "safety_image": 4,
    "output_image": 4,
    "output_text": 4,
}
TASKS = {
    "translation": "translation",
    "safety": "safety",
    "interception_pass": "interception",
    "interception": "interception",
    "media_prompt": "media_prompt",
    "safety_pre_output": "safety",
    "safety_image": "safety",
    "explanation": "safety",
    "output_image": "media",
    "output_text": "media",
}


class Recorded:
    """The recorder of six services, asked by gRPC."""

    def __init__(self, stub: recorder_pb2_grpc.RecorderServiceAsyncStub) -> None:
        self._stub = stub

    async def run(self, run_id: str, audience: run_pb2.Audience.ValueType = R) -> run_pb2.Run:
        request = recorder_pb2.GetRunRequest(name=f"runs/{run_id}", audience=audience)
        return (await self._stub.GetRun(request, timeout=10)).run

    async def final(self, run_id: str) -> run_pb2.Run:
        async def is_final() -> bool:
            return (await self.run(run_id)).state in FINAL

        await eventually(is_final, 45, "the end of the run")
        return await self.run(run_id)

    async def bytes_of(self, entity: run_pb2.Entity) -> bytes:
        request = recorder_pb2.ReadEntityRequest(name=entity.name, audience=R)
        parts = [part.data async for part in self._stub.ReadEntity(request, timeout=10)]
        return b"".join(parts)


@asynccontextmanager
async def recorder_of(running: Running) -> AsyncIterator[Recorded]:
    async with open_channel(running.target("recorder")) as channel:
        yield Recorded(recorder_pb2_grpc.RecorderServiceStub(channel))


async def check_every_entity(recorded: Recorded, run: run_pb2.Run) -> None:
    """Stage, start, duration, attempt, model, backend, seed, digest, audience of each."""
    created = run.create_time.ToDatetime(tzinfo=UTC)
    now = datetime.now(UTC)
    assert [one.sequence for one in run.entities] == list(range(1, len(run.entities) + 1))
    for entity in run.entities:
        what = f"{entity.sequence} {entity.type}"
        # A text that is put for the medium of one output is checked before, in stage 3.
        of_output = entity.type == "safety" and entity.output_index
        assert entity.stage == (3 if of_output else STAGES.get(entity.type, entity.stage)), what
        assert entity.audience == AUDIENCES[entity.type], what
        assert entity.attempt >= 1, what
        assert entity.HasField("start_time"), what
        assert entity.HasField("duration"), what
        began = entity.start_time.ToDatetime(tzinfo=UTC)
        took = entity.duration.ToTimedelta()
        assert timedelta(0) <= took < timedelta(minutes=1), what
        # Clocks of several processes on one machine: the same one.
        assert created - timedelta(seconds=1) <= began <= now, what
        assert began + took <= entity.create_time.ToDatetime(tzinfo=UTC), what
        data = await recorded.bytes_of(entity)
        assert entity.digest.sha256 == hashlib.sha256(data).hexdigest(), what
        assert entity.digest.size_bytes == len(data), what
        if entity.type in TASKS:
            assert {used.task for used in entity.models_used} == {TASKS[entity.type]}, what
            assert all(used.backend for used in entity.models_used), what
        if entity.type.startswith("interception") or entity.type == "translation":
            assert entity.metadata["seed"] == str(run.seed), what
        if entity.type.startswith("output_"):
            occurrence = run.outputs[entity.output_index - 1].occurrence
            assert entity.metadata["seed"] == str(run.seed + occurrence - 1), what
            assert entity.output_index >= 1, what
    reported = [use for entity in run.entities for use in entity.models_used]
    assert all(use in list(run.models_used) for use in reported)


async def test_repeated_outputs_have_a_global_index_and_an_occurrence(
    artlab_running: Running,
) -> None:
    async with client_of(artlab_running) as http, recorder_of(artlab_running) as recorded:
        run_id = await start_run(
            http, output_configs=["builtin_image", "builtin_text", "builtin_image"], seed=41
        )
        run = await recorded.final(run_id)
        assert run.state == SUCCEEDED
        assert [(o.index, o.output_config, o.occurrence, o.state) for o in run.outputs] == [
            (1, "builtin_image", 1, SUCCEEDED),
            (2, "builtin_text", 1, SUCCEEDED),
            (3, "builtin_image", 2, SUCCEEDED),
        ]
        made = {o.output_index: o for o in run.entities if o.type.startswith("output_")}
        assert sorted(made) == [1, 2, 3]
        assert made[1].digest != made[3].digest
        assert run.seed == 41
        await check_every_entity(recorded, run)


async def test_a_recursive_recipe_is_one_stage_with_numbered_passes(
    artlab_running: Running,
) -> None:
    async with client_of(artlab_running) as http, recorder_of(artlab_running) as recorded:
        run = await recorded.final(
            await start_run(http, schema="stillepost", output_configs=["builtin_text"])
        )
        assert run.state == SUCCEEDED
        passes = [one for one in run.entities if one.type == "interception_pass"]
        assert [getattr(one, "pass") for one in passes] == list(range(1, len(passes) + 1))
        assert len(passes) == 8
        assert {one.stage for one in passes} == {2}
        (whole,) = [one for one in run.entities if one.type == "interception"]
        assert whole.digest == passes[-1].digest
        # The final text took all passes together.
        assert whole.duration.ToTimedelta() >= max(o.duration.ToTimedelta() for o in passes)
        await check_every_entity(recorded, run)


async def test_blocked_is_a_verdict_with_its_rule_and_an_explanation(
    artlab_running: Running,
) -> None:
    async with client_of(artlab_running) as http, recorder_of(artlab_running) as recorded:
        run_id = await start_run(
            http,
            input_text="Ein Mann wird mit dem Messer ermordet",
            safety_level="kids",
            language="de",
        )
        run = await recorded.final(run_id)
        assert run.state == BLOCKED
        assert (run.error.reason, run.error.stage) == ("SAFETY_BLOCKED", 1)
        assert [output.state for output in run.outputs] == [BLOCKED]
        assert [one.type for one in run.entities] == ["input", "safety", "explanation"]
        await check_every_entity(recorded, run)

        # A student gets the reason in words, and no evidence.
        seen = await recorded.run(run_id, S)
        assert [one.type for one in seen.entities] == ["input", "explanation"]
        explanation = (await recorded.bytes_of(seen.entities[1])).decode()
        assert "terms" not in explanation
        assert "ermordet" not in explanation


async def test_failed_not_available_cancelled_and_succeeded_are_told_apart(
    tmp_path: Path,
) -> None:
    nodes = node_table()
    del nodes["Flux2Scheduler"]
    async with (
        fake_comfyui(script=Script(fail_at="KSampler"), nodes=nodes) as comfy,
        six_services(tmp_path, ARTLAB_MEDIA_COMFYUI_URLS=comfy.url) as running,
        client_of(running) as http,
        recorder_of(running) as recorded,
    ):
        outputs = ["sd35_large", "flux2", "builtin_image"]
        run = await recorded.final(await start_run(http, output_configs=outputs))
        assert run.state == run_pb2.RUN_STATE_PARTIAL
        assert not run.HasField("error")
        assert [output.state for output in run.outputs] == [FAILED, NOT_AVAILABLE, SUCCEEDED]
        assert [output.error.reason for output in run.outputs] == [
            "COMFY_EXECUTION",
            "OUTPUT_NOT_AVAILABLE",
            "",
        ]
        assert [output.error.stage for output in run.outputs] == [4, 4, 0]
        # Outputs are made beside one another.
        assert sorted(one.output_index for one in run.entities if one.type == "error") == [1, 2]
        await check_every_entity(recorded, run)

        comfy.script.fail_at, comfy.script.hang_at = None, "KSampler"
        before = len(comfy.executions)
        run_id = await start_run(http, output_configs=["builtin_image", "sd35_large"])
        await eventually(lambda: len(comfy.executions) > before, 20, "the job at the backend")

        async def has_its_picture() -> bool:
            return (await recorded.run(run_id)).outputs[0].state == SUCCEEDED

        await eventually(has_its_picture, 20, "the first output")
        await http.post(f"/api/pipeline/{run_id}/cancel")
        run = await recorded.run(run_id)
        # A wish has no error, and what was made before it stays.
        assert run.state == CANCELLED
        assert not run.HasField("error")
        assert [output.state for output in run.outputs] == [SUCCEEDED, CANCELLED]
        assert not any(output.HasField("error") for output in run.outputs)
        await check_every_entity(recorded, run)


async def test_a_gateway_for_students_serves_a_whole_run(tmp_path: Path) -> None:
    async with (
        six_services(tmp_path, ARTLAB_GATEWAY_AUDIENCE="student") as running,
        client_of(running) as http,
    ):
        body = {"schema": "dada", "input_text": "Eine Blume auf der Wiese"}
        answer = (await http.post("/api/schema/pipeline/execute", json=body)).json()
        assert answer["status"] == "success"
        assert answer["final_output"]
        assert (await http.get(answer["media_output"])).status_code == 200
        status = (await http.get(answer["urls"]["status"])).json()
        assert status["audience"] == "student"
        assert [one["type"] for one in status["entities"]] == [
            "input",
            "interception",
            "output_image",
        ]
        body = {
            "schema": "dada",
            "input_text": "Ein Mann wird mit dem Messer ermordet",
            "safety_level": "kids",
            "language": "de",
        }
        answer = (await http.post("/api/schema/pipeline/execute", json=body)).json()
        assert answer["status"] == "blocked"
        assert answer["block"]["explanation"]
        assert answer["block"]["rule"]
        assert answer["media_outputs"][0]["block"]["suggestion"]
