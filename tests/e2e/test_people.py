"""Runs that wait for people, go on from others and stand in line: over HTTP, six real processes."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.cli.fleet import Fleet
from services.cli.ports import free_ports
from services.kit.catalogue import CONFIGS
from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import fake_comfyui
from tests.support.command import artlab, artlab_process
from tests.support.eventually import eventually
from tests.support.processes import Running, six_services

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXECUTE = "/api/schema/pipeline/execute"
IDEA = {"schema": "bauhaus", "input_text": "Eine Blume auf der Wiese", "user_id": "anna"}

# What nobody but a teacher sees before a teacher says yes.
SEEN_FIRST = """
name: seen_first
title: {en: A teacher sees it first}
description: {en: An output is shown once a teacher has said yes.}
steps:
  - id: translation_and_safety
    type: translation_and_safety
    inputs: {text: "{{ input.text }}"}
  - id: interception
    type: interception
    inputs: {text: "{{ steps.translation_and_safety.output.text }}"}
  - id: outputs
    type: for_each_output
    config:
      body:
        steps:
          - id: pre_output_safety
            type: pre_output_safety
            inputs: {text: "{{ steps.interception.output.text }}"}
          - id: media_generation
            type: media_generation
            inputs: {text: "{{ steps.pre_output_safety.output.text }}"}
          - id: look
            type: question
            config: {kind: approve, who: teacher, seconds: 600, on_timeout: reject}
            inputs: {text: "{{ steps.pre_output_safety.output.text }}"}
        flow:
          start_at: pre_output_safety
          paths:
            - {from_step: pre_output_safety, to_step: media_generation}
            - {from_step: media_generation, to_step: look}
flow:
  start_at: translation_and_safety
  paths:
    - {from_step: translation_and_safety, to_step: interception}
    - {from_step: interception, to_step: outputs}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(artlab_running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=artlab_running.url, timeout=40.0, trust_env=False
    ) as client:
        yield client


@asynccontextmanager
async def gateway_beside(
    running: Running, logs: Path, **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway for teachers beside the one there is."""
    settings["TEACHER_DECISIONS"] = "true"
    (port,) = free_ports(["gateway"]).values()
    more = {f"ARTLAB_GATEWAY_{name}": value for name, value in settings.items()}
    first = running.fleet.specs["gateway"]
    environment = {**first.environment, first.port_variable: str(port), **more}
    spec = replace(first, environment=environment, port=port)
    async with (
        Fleet({"gateway": spec}, logs) as fleet,
        httpx.AsyncClient(
            base_url=f"http://{spec.target}", timeout=40.0, trust_env=False
        ) as client,
    ):
        await fleet.start_all(30.0)
        yield client


async def paused(http: httpx.AsyncClient, key: str, **more: Any) -> tuple[str, dict[str, Any]]:
    """Start a run that asks; return its id and its question."""
    body = {**IDEA, "pause_before_render": True, **more}
    response = await http.post(EXECUTE, json=body, headers={"Idempotency-Key": key})
    assert response.status_code == 202, response.text
    answer = response.json()
    (question,) = answer["open_questions"]
    return answer["run_id"], {**question, **(await http.get(question["url"])).json()}


async def say(http: httpx.AsyncClient, run_id: str, **body: Any) -> httpx.Response:
    return await http.post(f"/api/runs/{run_id}/decisions", json={"user_id": "anna", **body})


async def ended(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = {}

    async def is_final() -> bool:
        document.update((await http.get(f"/api/pipeline/{run_id}/status")).json())
        return document["status"] not in ("pending", "running")

    await eventually(is_final, 30, "the end of the run")
    return document


def types(document: dict[str, Any]) -> list[str]:
    return [entity["type"] for entity in document["entities"]]


async def test_an_edited_text_is_checked_again_and_is_what_gets_made(
    http: httpx.AsyncClient, artlab_running: Running
) -> None:
    run_id, question = await paused(http, "edited")
    folder = artlab_running.run_folder(run_id)
    made = next(folder.glob("*_interception.txt")).read_text()
    assert question["text"] == made
    assert not list(folder.glob("*_output_*"))
    text = "Ein stiller Baum im Schnee"
    said = {"question": question["sequence"], "decision": "edit", "text": text}
    assert (await say(http, run_id, **said)).status_code == 200
    document = await ended(http, run_id)
    assert document["status"] == "succeeded", document["error"]
    assert types(document).count("output_image") == 1
    order = types(document)
    assert order.index("question") < order.index("decision") < order.index("safety_pre_output")
    # What stage 3 let through is the new text.
    (check,) = [e for e in document["entities"] if e["type"] == "safety_pre_output"]
    assert check["sequence"] > question["sequence"]
    again = await say(http, run_id, **said)
    assert again.status_code == 200
    # Who asks for the whole of it gets the text that was made.
    same = {**IDEA, "pause_before_render": True}
    whole = await http.post(EXECUTE, json=same, headers={"Idempotency-Key": "edited"})
    assert (whole.status_code, whole.json()["final_output"]) == (200, text)
    other = await say(http, run_id, question=question["sequence"], decision="approve")
    assert (other.status_code, other.json()["reason"]) == (409, "ALREADY_DECIDED")


async def test_an_edited_text_that_a_check_refuses_makes_nothing(http: httpx.AsyncClient) -> None:
    run_id, question = await paused(http, "refused", safety_level="kids")
    text = "Ein Mann wird mit dem Messer ermordet"
    said = {"question": question["sequence"], "decision": "edit", "text": text}
    assert (await say(http, run_id, **said)).status_code == 200
    document = await ended(http, run_id)
    assert document["status"] == "blocked"
    assert not [kind for kind in types(document) if kind.startswith("output_")]


async def test_a_rejected_text_makes_nothing(http: httpx.AsyncClient) -> None:
    run_id, question = await paused(http, "rejected")
    response = await say(http, run_id, question=question["sequence"], decision="reject")
    assert response.status_code == 200
    document = await ended(http, run_id)
    assert document["status"] not in ("succeeded", "partial")
    assert not [kind for kind in types(document) if kind.startswith("output_")]


async def test_only_the_person_who_is_asked_may_answer(http: httpx.AsyncClient) -> None:
    run_id, question = await paused(http, "asked")
    said = {"question": question["sequence"], "decision": "approve"}
    refused = await say(http, run_id, **said, user_id="ben")
    assert (refused.status_code, refused.json()["reason"]) == (403, "DECISION_NOT_YOURS")
    assert (await say(http, run_id, **said)).status_code == 200
    assert (await ended(http, run_id))["status"] == "succeeded"


async def test_a_run_goes_on_from_a_stage_of_another_one(
    http: httpx.AsyncClient, artlab_running: Running
) -> None:
    first = (await http.post(EXECUTE, json={**IDEA, "seed": 7})).json()
    assert first["status"] == "success"
    rerun = {"run_id": first["run_id"], "from_stage": 3, "text": "Ein Haus am Meer"}
    body = {"rerun": rerun, "user_id": "anna", "output_configs": ["builtin_text", "builtin_image"]}
    response = await http.post(EXECUTE, json=body)
    assert response.status_code == 200, response.text
    second = response.json()
    assert second["status"] == "success", second["error"]
    assert (second["parent"], second["config"], second["seed"]) == (first["run_id"], "bauhaus", 7)
    assert second["parent_sequence"] >= 1
    assert second["final_output"] == "Ein Haus am Meer"
    assert [output["config"] for output in second["media_outputs"]] == body["output_configs"]
    document = json.loads(
        (artlab_running.run_folder(second["run_id"]) / "metadata.json").read_text()
    )
    assert document["parent_run_id"] == first["run_id"]
    # The interception was not made again.
    assert not [e for e in document["events"] if "interception" in _step_of(e)]


def _step_of(event: dict[str, Any]) -> str:
    return json.dumps(event) if event["kind"] == "stage_started" else ""


async def test_nobody_goes_on_from_the_run_of_somebody_else(http: httpx.AsyncClient) -> None:
    first = (await http.post(EXECUTE, json=IDEA)).json()
    rerun = {"run_id": first["run_id"], "from_stage": 2}
    response = await http.post(EXECUTE, json={"rerun": rerun, "user_id": "ben"})
    assert (response.status_code, response.json()["reason"]) == (404, "PARENT_NOT_FOUND")


async def test_pipelines_are_those_of_the_catalogue_and_can_be_followed(
    http: httpx.AsyncClient,
) -> None:
    found = {p["name"]: p for p in (await http.get("/api/pipelines")).json()["pipelines"]}
    assert found["four_stages"]["steps"]
    assert found["four_stages"]["mermaid"].lstrip().startswith("flowchart")
    answer = (await http.post(EXECUTE, json={**IDEA, "pipeline": "four_stages"})).json()
    assert answer["status"] == "success"
    unknown = await http.post(EXECUTE, json={**IDEA, "pipeline": "five_stages"})
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "PIPELINE_NOT_FOUND")
    assert unknown.json()["field"] == "pipeline"


async def test_what_one_terminal_asks_another_one_answers(artlab_running: Running) -> None:
    at = ("--url", artlab_running.url)
    async with artlab_process("run", "Eine Blume", "--config", "bauhaus", "--pause", *at) as run:
        assert run.stderr is not None
        async with asyncio.timeout(20):
            while "answer it with" not in (line := (await run.stderr.readline()).decode()):
                assert line
        command = shlex.split(line.partition("artlab decide ")[2].partition("(or")[0])
        decided = await artlab("decide", *command)
        assert decided.code == 0, decided
        async with asyncio.timeout(20):
            out, _ = await run.communicate()
        assert out.decode().splitlines()[-1] == "succeeded"
        assert "approve by person" in out.decode()


async def test_a_teacher_approves_an_output_before_pupils_see_it(tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS / "pipelines", configs / "pipelines")
    (configs / "pipelines" / "seen_first.yaml").write_text(SEEN_FIRST)
    own = {"ARTLAB_ORCHESTRATOR_CONFIGS": str(configs)}
    async with (
        six_services(tmp_path, ARTLAB_GATEWAY_AUDIENCE="student", **own) as running,
        httpx.AsyncClient(base_url=running.url, timeout=40.0, trust_env=False) as pupils,
        gateway_beside(running, tmp_path / "teachers", AUDIENCE="research") as teachers,
    ):
        response = await pupils.post(EXECUTE, json={**IDEA, "pipeline": "seen_first"})
        assert response.status_code == 202, response.text
        run_id = response.json()["run_id"]
        (question,) = response.json()["open_questions"]
        assert question["output_index"] == 1
        listed = (await teachers.get(f"/api/pipeline/{run_id}/entities")).json()["entities"]
        (made,) = [entity for entity in listed if entity["type"] == "output_image"]
        assert made["available"] is True
        withheld = await pupils.get(made["url"])
        assert (withheld.status_code, withheld.json()["reason"]) == (403, "AUDIENCE_TOO_LOW")
        seen = await teachers.get(made["url"])
        assert (seen.status_code, seen.headers["content-type"]) == (200, "image/png")
        said = {"question": question["sequence"], "decision": "approve"}
        refused = await say(pupils, run_id, **said)
        assert (refused.status_code, refused.json()["reason"]) == (403, "DECISION_NOT_YOURS")
        allowed = await say(teachers, run_id, **said, user_id="frau-holm")
        assert allowed.status_code == 200, allowed.text
        assert (await ended(teachers, run_id))["status"] == "succeeded"
        assert (await pupils.get(made["url"])).content == seen.content


async def test_runs_in_line_tell_their_place_and_one_too_many_of_a_person_is_refused(
    tmp_path: Path,
) -> None:
    limits = {
        "ARTLAB_ORCHESTRATOR_MAX_RUNS": "1",
        "ARTLAB_ORCHESTRATOR_MAX_RUNS_PER_PERSON": "3",
    }
    async with (
        fake_comfyui(script=Script(hang_at="KSampler")) as comfy,
        six_services(tmp_path, ARTLAB_MEDIA_COMFYUI_URLS=comfy.url, **limits) as running,
        httpx.AsyncClient(base_url=running.url, timeout=40.0, trust_env=False) as http,
    ):

        async def start() -> httpx.Response:
            return await http.post(EXECUTE, json=IDEA, headers={"Prefer": "respond-async"})

        async def place(run_id: str) -> int:
            answer = (await http.get(f"/api/runs/{run_id}/queue")).json()
            position: int = answer["position"]
            return position

        first = (await start()).json()["run_id"]

        async def in_work() -> bool:
            document = (await http.get(f"/api/pipeline/{first}/status")).json()
            stage: int = document["current_state"]["stage"]
            return stage == 4

        await eventually(in_work, 30, "the first one at its renderer")
        second, third = [(await start()).json() for _ in range(2)]
        assert second["status"] == third["status"] == "pending"
        assert [run["queue"]["position"] for run in (second, third)] == [0, 1]
        places = [await place(run_id) for run_id in (first, second["run_id"], third["run_id"])]
        assert places == [0, 0, 1]
        refused = await start()
        assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_RUNS_OF_PERSON")
        assert int(refused.headers["retry-after"]) >= 1
        for run_id in (second["run_id"], first, third["run_id"]):
            cancelled = await http.post(f"/api/pipeline/{run_id}/cancel")
            assert cancelled.json()["status"] == "cancelled", run_id
