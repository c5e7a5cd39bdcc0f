"""Several orchestrators by `artlab up`: any of them goes on with the runs of one that is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from services.cli.ports import free_ports
from tests.e2e.test_up import Up, alive, artlab_up
from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import fake_comfyui
from tests.support.command import line_with
from tests.support.eventually import eventually

EXECUTE = "/api/schema/pipeline/execute"
IDEA = {"schema": "bauhaus", "input_text": "Eine Blume auf der Wiese"}
RUNS = 6


def orchestrators(up: Up) -> dict[str, psutil.Process]:
    """The orchestrators by the ports they were given."""
    found = {}
    for child in psutil.Process(up.process.pid).children(recursive=True):
        if "-m services.orchestrator" in " ".join(child.cmdline()):
            found[child.environ()["ARTLAB_ORCHESTRATOR_PORT"]] = child
    return found


async def document_of(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = (await http.get(f"/api/pipeline/{run_id}/status")).json()
    return document


async def final(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    async def is_final() -> bool:
        return (await document_of(http, run_id))["status"] not in ("pending", "running")

    await eventually(is_final, 60, f"the end of {run_id}")
    return await document_of(http, run_id)


# With NATS the same is proved of services in tests/faults/test_orchestrator_handover.
@pytest.mark.parametrize("queue", ["embedded", pytest.param("nats", marks=pytest.mark.long)])
async def test_runs_go_on_when_the_replica_that_drives_them_is_killed(
    tmp_path: Path, queue: str
) -> None:
    nats_port = free_ports(["nats"])["nats"]
    async with (
        fake_comfyui(script=Script(node_seconds=0.15)) as comfy,
        artlab_up(
            tmp_path,
            "--replicas",
            "2",
            *("--queue", queue),
            ARTLAB_MEDIA_COMFYUI_URLS=comfy.url,
            ARTLAB_CLI_NATS_PORT=str(nats_port),
            ARTLAB_ORCHESTRATOR_CLAIM_TTL_SECONDS="1",
        ) as up,
        httpx.AsyncClient(base_url=up.url, timeout=40.0, trust_env=False) as http,
    ):
        by = f"NATS at 127.0.0.1:{nats_port}" if queue == "nats" else "the recorder"
        assert f"runs are driven by 2 orchestrators, shared out by {by}" in up.welcome
        processes = orchestrators(up)
        assert len(processes) == 2
        answers = [
            (await http.post(EXECUTE, json=IDEA, headers={"Prefer": "respond-async"})).json()
            for _ in range(RUNS)
        ]
        run_ids = [answer["run_id"] for answer in answers]

        async def one_renders() -> bool:
            documents = [await document_of(http, run_id) for run_id in run_ids]
            return any(document["current_state"]["stage"] == 4 for document in documents)

        await eventually(one_renders, 30, "a run at its renderer")
        victim = processes[min(processes)]
        victim.kill()
        # Started while one of two is gone: the gateway finds the other.
        late = await http.post(EXECUTE, json=IDEA, headers={"Prefer": "respond-async"})
        assert late.status_code == 202, late.text
        for run_id in [*run_ids, late.json()["run_id"]]:
            document = await final(http, run_id)
            assert document["status"] == "succeeded", document["error"]
            kinds = [entity["type"] for entity in document["entities"]]
            assert kinds.count("output_image") == kinds.count("interception") == 1
        # Nobody's picture was made twice.
        assert list(comfy.executions.values()) == [1] * (RUNS + 1)
        assert "SIGKILL" in await line_with(up.process, "orchestrator")
        await eventually(lambda: len(orchestrators(up)) == 2, 20, "the replica that comes back")
        services = up.services() | orchestrators(up)
        os.killpg(up.process.pid, signal.SIGINT)
        assert await up.end(10) == 0
        assert alive(services) == []


async def test_a_cancel_reaches_a_run_whose_replica_is_gone(tmp_path: Path) -> None:
    async with (
        fake_comfyui(script=Script(hang_at="KSampler")) as comfy,
        artlab_up(tmp_path, "--replicas", "2", ARTLAB_MEDIA_COMFYUI_URLS=comfy.url) as up,
        httpx.AsyncClient(base_url=up.url, timeout=40.0, trust_env=False) as http,
    ):
        answer = await http.post(EXECUTE, json=IDEA, headers={"Prefer": "respond-async"})
        run_id = answer.json()["run_id"]
        await eventually(lambda: bool(comfy.prompts), 30, "the run at its renderer")
        logs = tmp_path / ".run" / "logs"
        names = ["orchestrator", "orchestrator-2"]
        (driver,) = [n for n in names if run_id in (logs / f"{n}.log").read_text()]
        port = sorted(orchestrators(up))[names.index(driver)]
        orchestrators(up)[port].kill()
        cancelled = await http.post(f"/api/pipeline/{run_id}/cancel")
        assert cancelled.json()["status"] == "cancelled", cancelled.text
        await eventually(lambda: comfy.worker.remaining == 0, 10, "the end of the job")


@pytest.mark.long
async def test_a_replica_that_freezes_delays_calls_and_loses_none(tmp_path: Path) -> None:
    async with (
        artlab_up(tmp_path, "--replicas", "2", ARTLAB_ORCHESTRATOR_CLAIM_TTL_SECONDS="1") as up,
        httpx.AsyncClient(base_url=up.url, timeout=60.0, trust_env=False) as http,
    ):
        frozen = orchestrators(up)[min(orchestrators(up))]
        frozen.suspend()
        try:
            for number in range(4):
                answer = await http.post(EXECUTE, json={**IDEA, "seed": number})
                assert answer.status_code == 200, answer.text
                assert answer.json()["status"] == "success"
            # Whichever of the two is asked first.
            for _ in range(2):
                asked = {**IDEA, "pause_before_render": True}
                run = (await http.post(EXECUTE, json=asked)).json()
                ended = await http.post(run["urls"]["cancel"], timeout=10.0)
                assert ended.json()["status"] == "cancelled", ended.text
        finally:
            frozen.resume()


@pytest.mark.long
async def test_runs_go_on_without_the_queues_server_and_it_comes_back(tmp_path: Path) -> None:
    nats_port = free_ports(["nats"])["nats"]
    settings = {"ARTLAB_CLI_NATS_PORT": str(nats_port)}
    async with (
        artlab_up(tmp_path, "--queue", "nats", **settings) as up,
        httpx.AsyncClient(base_url=up.url, timeout=60.0, trust_env=False) as http,
    ):
        assert (tmp_path / "pipeline_runs" / ".nats").is_dir()
        children = psutil.Process(up.process.pid).children(recursive=True)
        (server,) = [child for child in children if "nats-server" in child.name()]
        server.kill()
        meanwhile = await http.post(EXECUTE, json=IDEA)
        assert (meanwhile.status_code, meanwhile.json()["status"]) == (200, "success")
        assert "SIGKILL" in await line_with(up.process, "nats ")
        assert "ready after" in await line_with(up.process, "nats ")
        afterwards = await http.post(EXECUTE, json=IDEA)
        assert (afterwards.status_code, afterwards.json()["status"]) == (200, "success")
