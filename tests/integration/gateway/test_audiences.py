"""The gateway for students and the advanced: the recorder decides what they get."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.channel import open_channel
from tests.integration.gateway.test_events import Reader
from tests.integration.gateway.test_real_recorder import Served
from tests.integration.gateway.world import RUN, gateway
from tests.integration.recorder.harness import PNG

NAME = f"runs/{RUN}"
BASE = f"/api/pipeline/{RUN}"
EVIDENCE = b'{"decision": "blocked", "rule": "kids.x", "terms": ["evidence"], "explanation": "no"}'
EXPLANATION = b'{"rule": "kids.x", "explanation": "Lieber nicht.", "suggestion": "Etwas anderes."}'
WHY = run_pb2.RunError(reason="SAFETY_BLOCKED", message="for developers", stage=3)
NODE = "node-77"

S, A, R = run_pb2.AUDIENCE_STUDENT, run_pb2.AUDIENCE_ADVANCED, run_pb2.AUDIENCE_RESEARCH


class Writer:
    """Writes one run as the orchestrator and media would."""

    def __init__(self, stub: recorder_pb2_grpc.RecorderServiceAsyncStub) -> None:
        self.stub = stub

    async def create(self, outputs: int) -> None:
        run = run_pb2.Run(
            config_name="dada",
            safety_level=common_pb2.SAFETY_LEVEL_YOUTH,
            user_id="anonymous",
            execution_mode=common_pb2.EXECUTION_MODE_ECO,
            seed=7,
            outputs=[
                run_pb2.Output(
                    index=index,
                    occurrence=index,
                    output_config="builtin_image",
                    kind=common_pb2.MEDIA_KIND_IMAGE,
                )
                for index in range(1, outputs + 1)
            ],
        )
        await self.stub.CreateRun(
            recorder_pb2.CreateRunRequest(request_id=RUN, run=run), timeout=10
        )

    async def record(
        self, kind: str, data: bytes, audience: run_pb2.Audience.ValueType, **fields: Any
    ) -> None:
        entity = run_pb2.Entity(
            type=kind,
            audience=audience,
            metadata={"node": NODE},
            models_used=[common_pb2.ModelUse(task=kind, backend="builtin", model=f"m-{kind}")],
            **fields,
        )
        upload = f"{NAME}/uploads/{kind.replace('_', '-')}-{fields.get('output_index', 0)}"
        await self.stub.RecordEntity(
            recorder_pb2.RecordEntityRequest(upload=upload, entity=entity, data=data), timeout=10
        )

    async def at(self, stage: int, step: str, output: int = 0) -> None:
        await self.stub.SetProgress(
            recorder_pb2.SetProgressRequest(name=NAME, stage=stage, step=step, output_index=output),
            timeout=10,
        )

    async def hint(self, **hint: Any) -> None:
        request = recorder_pb2.PublishHintsRequest(name=NAME, hints=[run_pb2.Hint(**hint)])
        await self.stub.PublishHints(request, timeout=10)

    async def ends(self, index: int, state: run_pb2.RunState.ValueType) -> None:
        error = WHY if state == run_pb2.RUN_STATE_BLOCKED else None
        output = run_pb2.Output(index=index, state=state, error=error)
        await self.stub.FinalizeOutput(
            recorder_pb2.FinalizeOutputRequest(name=NAME, output=output), timeout=10
        )

    async def half_blocked(self) -> None:
        """Two outputs: the first is drawn, the second blocked."""
        await self.create(2)
        await self.record("input", b"Eine Blume", S)
        await self.at(1, "translation_and_safety")
        await self.record("translation", b"A flower", A, stage=1)
        await self.record("safety", b'{"decision": "safe"}', R, stage=1)
        await self.at(2, "interception")
        await self.record("interception", b"Bl ume", S, stage=2)
        await self.at(3, "pre_output_safety", 1)
        await self.record("safety_pre_output", b"{}", R, stage=3, output_index=1)
        await self.at(4, "media_generation", 1)
        await self.record("output_image", PNG, S, stage=4, output_index=1)
        await self.ends(1, run_pb2.RUN_STATE_SUCCEEDED)
        await self.at(3, "pre_output_safety", 2)
        await self.record("safety_pre_output", EVIDENCE, R, stage=3, output_index=2)
        await self.record("explanation", EXPLANATION, S, stage=3, output_index=2)
        await self.ends(2, run_pb2.RUN_STATE_BLOCKED)
        await self.stub.FinalizeRun(
            recorder_pb2.FinalizeRunRequest(name=NAME, state=run_pb2.RUN_STATE_PARTIAL),
            timeout=10,
        )


@asynccontextmanager
async def serving(tmp_path: Path, audience: str) -> AsyncIterator[tuple[httpx.AsyncClient, Writer]]:
    """A gateway that serves this audience, and a hand on the real recorder behind it."""
    served = Served(tmp_path / "runs")
    await served.start()
    target = f"127.0.0.1:{served.port}"
    try:
        async with (
            gateway(recorder_target=target, audience=audience) as world,
            open_channel(target) as channel,
        ):
            yield world.client, Writer(recorder_pb2_grpc.RecorderServiceStub(channel))
    finally:
        await served.stop()


# Sequences: 1 input, 2 translation, 3 safety, 4 interception, 5 safety_pre_output,
# 6 output_image, 7 safety_pre_output, 8 explanation.
SEEN = {"student": [1, 4, 6, 8], "advanced": [1, 2, 4, 6, 8]}


@pytest.mark.parametrize("audience", ["student", "research"])
async def test_what_was_erased_is_told_and_its_bytes_are_gone(
    tmp_path: Path, audience: str
) -> None:
    async with serving(tmp_path, audience) as (client, writer):
        await writer.create(1)
        await writer.record("input", b"Eine Blume", S)
        erase = recorder_pb2.EraseEntityRequest(name=f"{NAME}/entities/1", reason="SAFETY_BLOCKED")
        await writer.stub.EraseEntity(erase, timeout=10)
        (entity,) = (await client.get(f"{BASE}/status")).json()["entities"]
        assert entity["erased_at"].startswith("20")
        assert entity["size_bytes"] == len(b"Eine Blume")
        response = await client.get(f"{BASE}/entities/1")
        assert (response.status_code, response.json()["reason"]) == (410, "ENTITY_ERASED")


@pytest.mark.parametrize("audience", ["student", "advanced"])
async def test_status_and_entities_are_the_view(tmp_path: Path, audience: str) -> None:
    async with serving(tmp_path, audience) as (client, writer):
        await writer.half_blocked()
        response = await client.get(f"{BASE}/status")
        assert response.status_code == 200
        document = response.json()
        assert document["audience"] == audience
        assert document["run_id"] == RUN
        assert document["status"] == "partial"
        assert document["current_state"]["progress"] == "8/8"
        assert [e["sequence"] for e in document["entities"]] == SEEN[audience]
        assert document["completed_outputs"] == [e["type"] for e in document["entities"]]
        assert [o["status"] for o in document["outputs"]] == ["succeeded", "blocked"]
        assert document["outputs"][1]["reason"] == "SAFETY_BLOCKED"
        assert {used["model"] for used in document["models_used"]} == {
            f"m-{entity['type']}" for entity in document["entities"]
        }
        again = await client.get(
            f"{BASE}/status", headers={"If-None-Match": response.headers["etag"]}
        )
        assert again.status_code == 304
        is_advanced = audience == "advanced"
        assert ("for developers" in response.text) == is_advanced
        assert (NODE in response.text) == is_advanced
        listed = (await client.get(f"{BASE}/entities")).json()["entities"]
        assert [e["sequence"] for e in listed] == SEEN[audience]
        for entity in listed:
            assert entity["available"]
            assert (await client.get(entity["url"])).status_code == 200


@pytest.mark.parametrize("audience", ["student", "advanced"])
async def test_what_is_not_theirs_is_403_with_a_reason(tmp_path: Path, audience: str) -> None:
    async with serving(tmp_path, audience) as (client, writer):
        await writer.half_blocked()
        for sequence in range(1, 9):
            response = await client.get(f"{BASE}/entities/{sequence}")
            if sequence in SEEN[audience]:
                assert response.status_code == 200
                continue
            assert response.status_code == 403, sequence
            assert response.json()["reason"] == "AUDIENCE_TOO_LOW"
            assert b"evidence" not in response.content
        missing = await client.get(f"{BASE}/entities/9")
        assert (missing.status_code, missing.json()["reason"]) == (404, "ENTITY_NOT_FOUND")
        by_type = await client.get(f"{BASE}/entity/safety_pre_output")
        assert (by_type.status_code, by_type.json()["reason"]) == (404, "ENTITY_NOT_FOUND")
        explained = await client.get(f"{BASE}/entity/explanation")
        assert explained.content == EXPLANATION


@pytest.mark.parametrize("audience", ["student", "advanced", "research"])
async def test_events_have_every_fact_and_only_hints_for_them(
    tmp_path: Path, audience: str
) -> None:
    async with serving(tmp_path, audience) as (client, writer):
        await writer.create(1)
        async with client.stream("GET", f"{BASE}/events") as response:
            reader = Reader(response)
            first = await reader.next()
            assert first is not None
            await writer.record("input", b"Eine Blume", S)
            await writer.record("safety", EVIDENCE, R, stage=1)
            seen = [first, await reader.next(), await reader.next()]
            await writer.hint(
                text_delta=run_pb2.TextDelta(entity_type="interception", text="unchecked")
            )
            await writer.hint(
                preview=run_pb2.Preview(output_index=1, media_type="image/jpeg", data=b"x")
            )
            await writer.hint(
                render_progress=run_pb2.RenderProgress(
                    output_index=1, phase=run_pb2.RENDER_PHASE_EXECUTING, fraction=0.5, node=NODE
                )
            )
            await writer.stub.FinalizeRun(
                recorder_pb2.FinalizeRunRequest(
                    name=NAME, state=run_pb2.RUN_STATE_BLOCKED, error=WHY
                ),
                timeout=10,
            )
            seen += await reader.rest()
        facts = [event for event in seen if event is not None and event.id is not None]
        assert [int(event.id or 0) for event in facts] == list(range(1, len(facts) + 1))
        committed = [event.data for event in facts if event.kind == "entity_committed"]
        assert committed[0]["type"] == "input"
        if audience == "research":
            assert committed[1]["type"] == "safety"
        else:
            assert set(committed[1]) == {"time", "sequence", "audience"}
            assert committed[1]["audience"] == "research"
        ended = facts[-1].data
        assert ended["state"] == "blocked"
        assert ended["error"]["reason"] == "SAFETY_BLOCKED"
        assert ended["error"]["message"] == ("" if audience == "student" else "for developers")
        hints = {event.kind: event.data for event in seen if event is not None and not event.id}
        expected = {"render_progress"} | ({"text_delta"} if audience != "student" else set())
        assert set(hints) == expected
        assert hints["render_progress"]["node"] == (NODE if audience == "research" else "")


async def test_a_run_as_it_grows_shows_students_nothing_unchecked(tmp_path: Path) -> None:
    async with serving(tmp_path, "student") as (client, writer):
        await writer.create(1)
        await writer.at(2, "interception")
        await writer.record("interception", b"Bl ume", S, stage=2)
        assert (await client.get(f"{BASE}/entities/1")).status_code == 403
        await writer.at(4, "media_generation", 1)
        assert (await client.get(f"{BASE}/entities/1")).status_code == 200
        await writer.record("output_image", PNG, S, stage=4, output_index=1)
        assert (await client.get(f"{BASE}/entities/2")).status_code == 403
        await writer.ends(1, run_pb2.RUN_STATE_SUCCEEDED)
        assert (await client.get(f"{BASE}/entities/2")).content == PNG


async def test_research_gets_the_document_and_the_evidence(tmp_path: Path) -> None:
    async with serving(tmp_path, "research") as (client, writer):
        await writer.half_blocked()
        status = await client.get(f"{BASE}/status")
        stored = tmp_path / "runs" / RUN / "metadata.json"
        assert status.content == stored.read_bytes()
        assert len(json.loads(status.content)["entities"]) == 8
        assert (await client.get(f"{BASE}/entities/7")).content == EVIDENCE
