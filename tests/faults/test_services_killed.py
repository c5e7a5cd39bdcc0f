"""One service is killed in the middle of a run: the run ends truthfully and the folder agrees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from services.recorder.verify import verify_run
from tests.fakes.comfyui.server import FakeComfyUI
from tests.support.client import client_of, start_run
from tests.support.eventually import eventually
from tests.support.processes import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

END_SECONDS = 45.0
IMPATIENT = {"ARTLAB_ORCHESTRATOR_PATIENCE_SECONDS": "2"}
FINAL = {"succeeded", "partial", "blocked", "failed", "cancelled"}


@pytest_asyncio.fixture(loop_scope="module")
async def impatient(running: Running) -> AsyncIterator[Running]:
    """The same with an orchestrator that soon gives up."""
    spec = running.fleet.specs["orchestrator"]
    running.fleet.specs["orchestrator"] = replace(
        spec, environment={**spec.environment, **IMPATIENT}
    )
    await running.restart("orchestrator")
    yield running
    running.fleet.specs["orchestrator"] = spec
    await running.kill("orchestrator")  # and `running` starts it again


def _record(running: Running, run_id: str) -> dict[str, Any]:
    # Read as a person would: from the folder, whoever is up or down.
    document: dict[str, Any] = json.loads(
        (running.run_folder(run_id) / "metadata.json").read_bytes()
    )
    return document


async def _ended(running: Running, run_id: str) -> dict[str, Any]:
    await eventually(
        lambda: _record(running, run_id)["status"] in FINAL, END_SECONDS, "the end of the run"
    )
    assert verify_run(running.run_folder(run_id)) == []
    return _record(running, run_id)


def _types(record: dict[str, Any]) -> list[str]:
    return [entity["type"] for entity in record["entities"]]


async def test_media_killed_during_a_rendering_and_restarted_takes_the_picture_up(
    running: Running, comfy: FakeComfyUI
) -> None:
    comfy.script.step_seconds = 0.1
    async with client_of(running) as http:
        run_id = await start_run(http, output_configs=["sd35_large"])
        await eventually(lambda: bool(comfy.executions), 20, "the job at the backend")
        await running.restart("media")
        record = await _ended(running, run_id)
    assert record["status"] == "succeeded"
    assert _types(record).count("output_image") == 1
    assert list(comfy.executions.values()) == [1], "made once, whoever was killed"


async def test_media_killed_for_good_fails_the_output_and_says_why(
    impatient: Running, comfy: FakeComfyUI
) -> None:
    comfy.script.hang_at = "KSampler"
    async with client_of(impatient) as http:
        run_id = await start_run(http, output_configs=["sd35_large"])
        await eventually(lambda: bool(comfy.executions), 20, "the job at the backend")
        await impatient.kill("media")
        record = await _ended(impatient, run_id)
    assert record["status"] == "failed"
    assert record["error"]["reason"] == "MEDIA_UNAVAILABLE"
    assert _types(record)[-1] == "error"
    assert record["outputs"][0]["status"] == "failed"


@pytest.mark.parametrize(
    "after", ["interception", pytest.param("safety_pre_output", marks=pytest.mark.long)]
)
async def test_recorder_killed_between_two_entities_loses_nothing_acknowledged(
    running: Running, after: str
) -> None:
    async with client_of(running) as http:
        run_id = await start_run(http, output_configs=["builtin_image"] * 6)
        await eventually(lambda: after in _types(_record(running, run_id)), 20, after)
        before = _record(running, run_id)["entities"]
        await running.restart("recorder")
        record = await _ended(running, run_id)
    assert record["status"] == "succeeded"
    assert record["entities"][: len(before)] == before
    assert _types(record).count("output_image") == 6
    assert [entity["sequence"] for entity in record["entities"]] == list(
        range(1, len(record["entities"]) + 1)
    )


@pytest.mark.parametrize("service", ["safety", "interception"])
async def test_a_peer_restarted_during_runs_costs_time_and_no_run(
    running: Running, service: str
) -> None:
    async with client_of(running) as http:
        runs = [await start_run(http, schema="stillepost") for _ in range(3)]
        await running.restart(service)
        records = [await _ended(running, run_id) for run_id in runs]
    assert {record["status"] for record in records} == {"succeeded"}


async def test_safety_gone_means_failed_and_nothing_goes_on_unchecked(impatient: Running) -> None:
    async with client_of(impatient) as http:
        run_id = await start_run(http, schema="stillepost", output_configs=["builtin_image"] * 8)
        await impatient.kill("safety")
        record = await _ended(impatient, run_id)
    assert record["status"] in {"failed", "partial", "succeeded"}
    checked = _types(record).count("safety_pre_output")
    assert _types(record).count("output_image") <= checked
    if record["status"] == "failed":
        assert record["error"]["reason"] == "SAFETY_UNAVAILABLE"


async def test_orchestrator_killed_goes_on_where_its_run_stood(
    running: Running, comfy: FakeComfyUI
) -> None:
    comfy.script.hang_at = "KSampler"
    async with client_of(running) as http:
        run_id = await start_run(http, output_configs=["sd35_large"])
        await eventually(lambda: bool(comfy.executions), 20, "the job at the backend")
        before = _record(running, run_id)["entities"]
        await asyncio.shield(running.restart("orchestrator"))
        comfy.script.hang_at = None
        record = await _ended(running, run_id)
    assert record["status"] == "succeeded"
    assert record["entities"][: len(before)] == before
    assert _types(record).count("output_image") == 1
    assert list(comfy.executions.values()) == [1], "made once, whoever was killed"
