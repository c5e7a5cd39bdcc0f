"""The fake behaves as the recorded ComfyUI does: order of events, answers, files."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.kit.catalogue import CONFIGS
from tests.fakes.comfyui import FakeComfyUI, Script, fake_comfyui
from tests.fakes.comfyui.jobs import connected, ignore, make_job, read, until
from tests.fakes.comfyui.nodes import MODELS, real_nodes

REFERENCE = CONFIGS.parents[1] / "shared" / "reference"
RECORDINGS = REFERENCE / "comfyui_transcripts"
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recordings of a real ComfyUI are not beside the checkout"
)

GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t"}},
}
GRAPH["1"]["inputs"]["color"] = 12338402

# Recording 01: three nodes, nothing cached.
FIRST_RUN = [
    "status",
    "status",
    "execution_start",
    "execution_cached",
    *["progress_state", "executing", "progress_state"] * 2,
    *["progress_state", "executing", "executed", "progress_state"],
    "execution_success",
    "status",
    "executing:end",
]
# Recording 02, (a): the same again.
CACHED_RUN = [
    "status",
    "status",
    "execution_start",
    "execution_cached",
    "executed",
    "progress_state",
    "execution_success",
    "status",
    "executing:end",
]


class Client:
    """A plain client: the best one could do with aiohttp, none of our own code."""

    def __init__(
        self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self.http = http
        self.socket = socket
        self.client_id = ""

    async def run(self, graph: Mapping[str, Any], **extra: Any) -> tuple[str, list[str]]:
        """Submit, and return prompt id and the kinds of frames until the end."""
        body = {"prompt": graph, "client_id": self.client_id, **extra}
        async with self.http.post("/prompt", json=body) as answer:
            assert answer.status == 200, await answer.text()
            prompt_id = (await answer.json())["prompt_id"]
        frames: list[Any] = []
        while not frames or kind_of(frames[-1]) != "executing:end":
            frames.append(json.loads(await asyncio.wait_for(self.socket.receive_str(), 5)))
        return prompt_id, ordered(frames)

    async def json(self, path: str) -> Any:
        async with self.http.get(path) as answer:
            return await answer.json()

    async def status(self, method: str, path: str, **options: Any) -> int:
        async with self.http.request(method, path, **options) as answer:
            return answer.status


@asynccontextmanager
async def client_of(fake: FakeComfyUI) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(fake.url) as http:
        client_id = str(uuid.uuid4())
        async with http.ws_connect(f"/ws?clientId={client_id}") as socket:
            client = Client(http, socket)
            greeting = json.loads(await socket.receive_str())
            assert greeting["data"]["sid"] == client_id
            client.client_id = client_id
            yield client


def kind_of(frame: Mapping[str, Any]) -> str:
    end = frame["type"] == "executing" and frame["data"]["node"] is None
    return "executing:end" if end else str(frame["type"])


def ordered(frames: list[Any]) -> list[str]:
    """Kinds in order; the ticks of a sampler, however many, count as one."""
    kinds: list[str] = []
    for frame in frames:
        kind = kind_of(frame)
        if kind == "progress" and kinds[-2:] == ["progress", "progress_state"]:
            kinds.pop()
            continue
        kinds.append(kind)
    return kinds


async def test_events_come_in_the_recorded_order_first_and_cached() -> None:
    async with fake_comfyui() as fake, client_of(fake) as client:
        assert (await client.run(GRAPH))[1] == FIRST_RUN
        assert (await client.run(GRAPH))[1] == CACHED_RUN


@needs_recordings
@pytest.mark.parametrize("number", ["01", "20", "23"])
async def test_recorded_prompts_give_the_recorded_order_of_events(number: str) -> None:
    (path,) = RECORDINGS.glob(f"{number}_*.json")
    steps = json.loads(await asyncio.to_thread(path.read_bytes))["steps"]
    submitted = next(s for s in steps if s["kind"] == "http" and s["url"] == "/prompt")
    prompt_id = submitted["response_json"]["prompt_id"]
    frames = [s for s in steps if s["kind"] == "ws_text" and s["conn"] in ("A", "plain")]
    texts = [s["data"] for s in frames[1:]]
    end = next(
        index
        for index, frame in enumerate(texts)
        if kind_of(frame) == "executing:end" and frame["data"]["prompt_id"] == prompt_id
    )
    models = {**MODELS, "ckpt_name": ["random_sd15.safetensors"]}
    nodes = real_nodes(REFERENCE / "comfyui_object_info.json", models)
    async with fake_comfyui(nodes=nodes) as fake, client_of(fake) as client:
        _, kinds = await client.run(submitted["request_body"]["prompt"])
    assert kinds == ordered(texts[: end + 1])


@needs_recordings
async def test_a_history_entry_has_the_recorded_shape() -> None:
    (path,) = RECORDINGS.glob("01_*.json")
    steps = json.loads(await asyncio.to_thread(path.read_bytes))["steps"]
    recorded = next(
        entry
        for s in steps
        if s["kind"] == "http" and s["url"].startswith("/history/")
        for entry in s["response_json"].values()
    )
    async with fake_comfyui() as fake, client_of(fake) as client:
        prompt_id, _ = await client.run(GRAPH)
        entry = (await client.json(f"/history/{prompt_id}"))[prompt_id]
    assert entry.keys() == recorded.keys()
    assert entry["outputs"] == recorded["outputs"]
    assert entry["meta"] == recorded["meta"]
    assert entry["status"].keys() == recorded["status"].keys()
    kinds = [message[0] for message in recorded["status"]["messages"]]
    assert [message[0] for message in entry["status"]["messages"]] == kinds


@needs_recordings
async def test_refusals_are_the_recorded_ones() -> None:
    (path,) = RECORDINGS.glob("03_*.json")
    steps = json.loads(await asyncio.to_thread(path.read_bytes))["steps"]
    wanted = {
        "unknown class_type",
        "missing required input",
        "value bigger than max",
        "value smaller than min",
        "string not convertible to INT",
        "combo value not in list",
        "link to nonexistent node",
        "link to nonexistent output slot",
        "malformed link",
        "type mismatch link",
        "no output node",
    }
    nodes = real_nodes(REFERENCE / "comfyui_object_info.json")
    async with fake_comfyui(nodes=nodes) as fake, client_of(fake) as client:
        for step in steps:
            if step.get("label") not in wanted:
                continue
            async with client.http.post("/prompt", json=step["request_body"]) as answer:
                found = await answer.json()
                assert answer.status == step["status"], step["label"]
            recorded = step["response_json"]
            assert found["error"]["type"] == recorded["error"]["type"], step["label"]
            kinds = [
                {node: [e["type"] for e in errors["errors"]] for node, errors in side.items()}
                for side in (found["node_errors"], recorded["node_errors"])
            ]
            assert kinds[0] == kinds[1], step["label"]
            wanted.discard(step["label"])
    assert not wanted


async def test_a_cached_run_without_client_id_has_no_outputs() -> None:
    async with fake_comfyui() as fake, client_of(fake) as client:
        await client.run(GRAPH)
        async with client.http.post("/prompt", json={"prompt": GRAPH}) as answer:
            prompt_id = (await answer.json())["prompt_id"]
        await until(lambda: prompt_id in fake.worker.history)
        assert fake.worker.history[prompt_id]["outputs"] == {}


async def test_a_prompt_id_is_canonical_and_no_idempotency_key() -> None:
    async with fake_comfyui() as fake, client_of(fake) as client:
        for bad in ("abc", str(uuid.uuid4()).upper(), uuid.uuid4().hex, 7, ""):
            body = {"prompt": GRAPH, "prompt_id": bad}
            assert await client.status("POST", "/prompt", json=body) == 400
        prompt_id = str(uuid.uuid4())
        for _ in range(2):
            await client.run(GRAPH, prompt_id=prompt_id)
        assert fake.executions[prompt_id] == 2


async def test_files_are_served_with_length_range_and_tag() -> None:
    async with fake_comfyui() as fake, client_of(fake) as client:
        await client.run(GRAPH)
        path = "/view?filename=t_00001_.png&subfolder=&type=output"
        async with client.http.get(path) as answer:
            data = await answer.read()
            assert answer.headers["Content-Length"] == str(len(data))
            assert answer.headers["Content-Type"] == "image/png"
            tag = answer.headers["Etag"]
        assert await client.status("GET", path, headers={"If-None-Match": tag}) == 304
        async with client.http.get(path, headers={"Range": "bytes=10-19"}) as answer:
            assert (answer.status, await answer.read()) == (206, data[10:20])
        beyond = {"Range": "bytes=999999-"}
        assert await client.status("GET", path, headers=beyond) == 416


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("filename=nofile.png", 404),
        ("type=output", 404),
        ("filename=", 400),
        ("filename=t_00001_.png&type=bogus", 400),
        ("filename=../main.py", 400),
        ("filename=a..b.png", 400),
        ("filename=/etc/passwd", 400),
        ("filename=passwd&subfolder=/etc", 403),
        ("filename=main.py&subfolder=..", 403),
        ("filename=t_00001_.png&type=temp", 404),
        ("filename=t_00001_.png%20%5Boutput%5D&type=input", 200),
    ],
)
async def test_view_refuses_as_recorded(query: str, status: int) -> None:
    async with fake_comfyui() as fake, client_of(fake) as client:
        await client.run(GRAPH)
        assert await client.status("GET", f"/view?{query}") == status


async def test_the_small_answers_are_the_recorded_ones() -> None:
    async with fake_comfyui() as fake, client_of(fake) as client:
        assert await client.json("/prompt") == {"exec_info": {"queue_remaining": 0}}
        assert await client.json("/api/queue") == {"queue_running": [], "queue_pending": []}
        assert await client.json("/history/unknown-id") == {}
        assert await client.json("/object_info/NoSuch") == {}
        assert (await client.json("/system_stats"))["system"]["comfyui_version"] == "0.26.0"
        assert await client.json("/api/jobs/none") == {"error": "Job not found"}
        assert await client.status("POST", "/queue") == 500
        assert await client.status("POST", "/interrupt") == 200
        origin = {"Origin": "http://evil.example"}
        assert await client.status("GET", "/prompt", headers=origin) == 403
        async with client.http.post(f"/api/jobs/{uuid.uuid4()}/cancel") as answer:
            assert await answer.json() == {"cancelled": False}


async def test_file_numbers_are_one_more_than_the_largest() -> None:
    async with fake_comfyui() as fake, client_of(fake) as client:
        for color in (1, 2):
            graph = {
                **GRAPH,
                "1": {**GRAPH["1"], "inputs": {**GRAPH["1"]["inputs"], "color": color}},
            }
            await client.run(graph)
        names = sorted(path.name for path in (fake.root / "output").iterdir())
        assert names == ["t_00001_.png", "t_00002_.png"]


async def test_it_runs_as_a_process_and_makes_files_of_the_size_asked_for(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.fakes.comfyui", "--port", "0", "--output-bytes", "5000000"),
        *("--directory", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        cwd=CONFIGS.parent,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        url = line.decode().split()[-1]
        async with connected(url) as backend:
            product = await backend.render(make_job(), ignore)
            assert len(await read(product)) == 5_000_000
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_restart_forgets_queue_and_history_and_keeps_files() -> None:
    async with fake_comfyui(script=Script()) as fake:
        async with client_of(fake) as client:
            prompt_id, _ = await client.run(GRAPH)
        port = fake.port
        await fake.restart()
        assert fake.port == port
        async with client_of(fake) as client:
            assert await client.json(f"/history/{prompt_id}") == {}
            assert await client.status("GET", "/view?filename=t_00001_.png") == 200
