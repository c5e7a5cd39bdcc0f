"""Pictures that are made and pictures that are brought, with all six services and the real checks.

Only the vision model and ComfyUI are played: by servers that speak their protocols.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from tests.fakes.comfyui.server import FakeComfyUI, fake_comfyui
from tests.fakes.openai_server import FakeOpenAI, Never, Say, Status
from tests.support.client import client_of, start_run
from tests.support.command import artlab
from tests.support.eventually import eventually
from tests.support.processes import Running, six_services

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORIENTATION, DESCRIPTION, UPSIDE_DOWN = 0x0112, 0x010E, 3


def says(decision: str, **categories: int) -> Say:
    seen = [{"name": name, "severity": severity} for name, severity in categories.items()]
    return Say(json.dumps({"categories": seen, "decision": decision}))


SAFE = says("safe")
NO = says("blocked", violence=3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vision() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def comfy() -> AsyncIterator[FakeComfyUI]:
    async with fake_comfyui() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def author() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    tmp_path_factory: pytest.TempPathFactory,
    vision: FakeOpenAI,
    comfy: FakeComfyUI,
    author: FakeOpenAI,
) -> AsyncIterator[Running]:
    async with six_services(
        tmp_path_factory.mktemp("pictures"),
        ARTLAB_SAFETY_VISION_BASE_URL=vision.base_url,
        ARTLAB_SAFETY_VISION_MODEL="llava",
        ARTLAB_MEDIA_COMFYUI_URLS=comfy.url,
        ARTLAB_MEDIA_CODE_BASE_URL=author.base_url,
        ARTLAB_MEDIA_CODE_MODEL="coder",
    ) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(running) as client:
        yield client


async def drawn(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """What came of a run with one built-in picture."""
    body = {
        "schema": "dada",
        "input_text": "Eine Blume auf der Wiese",
        "output_configs": ["builtin_image"],
        **fields,
    }
    answer = await http.post("/api/schema/pipeline/execute", json=body)
    assert answer.status_code == 200, answer.text
    outcome: dict[str, Any] = answer.json()
    return outcome


async def document_of(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = (await http.get(f"/api/pipeline/{run_id}/status")).json()
    return document


async def ended(http: httpx.AsyncClient, run_id: str) -> str:
    async def state() -> str:
        return str((await document_of(http, run_id))["status"])

    async def is_final() -> bool:
        return await state() not in ("pending", "running")

    await eventually(is_final, 30, "the end of the run")
    return await state()


def photo(size: tuple[int, int] = (3000, 1500)) -> bytes:
    """A photo as a telephone makes one: upside down, with a diary in its metadata."""
    # Nothing but grain, so that it is not small when it is packed.
    grain = random.Random(7).randbytes(size[0] * size[1] * 3)
    picture = Image.frombytes("RGB", size, grain)
    picture.paste("gold", (0, 0, size[0] // 4, size[1] // 4))
    exif = Image.Exif()
    exif[ORIENTATION], exif[DESCRIPTION] = UPSIDE_DOWN, "Zebulon Quastenflosser"
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif)
    return file.getvalue()


async def test_a_picture_that_is_refused_is_seen_by_nobody_and_leaves_no_bytes(
    http: httpx.AsyncClient, running: Running, vision: FakeOpenAI
) -> None:
    vision.script(NO)
    outcome = await drawn(http, language="de")
    assert outcome["status"] == "blocked"
    assert outcome["media_output"] is None
    [output] = outcome["media_outputs"]
    assert (output["status"], output["reason"]) == ("blocked", "SAFETY_BLOCKED")
    assert output["files"] == []
    assert output["block"]["stage"] == 4
    assert output["block"]["rule"] == "youth.violence"
    assert output["block"]["explanation"]
    run_id = outcome["run_id"]
    document = await document_of(http, run_id)
    entities = {entity["type"]: entity for entity in document["entities"]}
    assert entities["safety_image"]["audience"] == "research"
    assert entities["explanation"]["audience"] == "student"
    picture = entities["output_image"]
    for address in (f"entities/{picture['sequence']}", "entity/output_image"):
        response = await http.get(f"/api/pipeline/{run_id}/{address}")
        assert response.status_code in (404, 409, 410), response.text
        assert response.headers["content-type"] == "application/problem+json"
    folder = running.run_folder(run_id)
    kept = [path.name for path in folder.iterdir() if path.suffix == ".png"]
    assert kept == []
    verified = await artlab("verify", str(folder))
    assert verified.code == 0, verified


async def test_a_picture_that_is_reused_is_looked_at_anew_at_the_level_of_its_run(
    http: httpx.AsyncClient, running: Running, vision: FakeOpenAI
) -> None:
    same = {"seed": 11, "user_id": "anna", "allow_reuse": True}
    vision.script(SAFE)
    assert (await drawn(http, safety_level="youth", **same))["status"] == "success"
    vision.script(NO)
    outcome = await drawn(http, safety_level="kids", **same)
    assert outcome["status"] == "blocked"
    folder = running.run_folder(outcome["run_id"])
    record = (folder / "metadata.json").read_text("utf-8")
    assert "reused_from" in record, "or it was made anew"
    assert [path for path in folder.iterdir() if path.suffix == ".png"] == []
    # What was refused is nobody's to be reused; the first one is still there.
    vision.script(SAFE)
    assert (await drawn(http, safety_level="kids", **same))["status"] == "success"


@pytest.mark.parametrize(
    ("words", "status"), [("Eine Blume", "success"), ("Heil Hitler", "blocked")]
)
async def test_the_words_of_a_sketch_that_a_model_wrote_are_judged(
    http: httpx.AsyncClient, author: FakeOpenAI, words: str, status: str
) -> None:
    body = f'function setup() {{ createCanvas(640, 640); text("{words}", 20, 20); }}'
    author.script(Say(f"```javascript\n{body}\n```"))
    outcome = await drawn(http, output_configs=["p5js_code"])
    assert outcome["status"] == status
    document = await document_of(http, outcome["run_id"])
    entities = {entity["type"]: entity for entity in document["entities"]}
    assert entities["safety_output"]["audience"] == "research"
    sequence = entities["output_code"]["sequence"]
    answer = await http.get(f"/api/pipeline/{outcome['run_id']}/entities/{sequence}")
    assert (answer.status_code == 200) == (status == "success"), answer.text


async def test_a_picture_nobody_could_judge_is_shown_to_nobody(
    http: httpx.AsyncClient, vision: FakeOpenAI
) -> None:
    vision.script(Status(400))
    outcome = await drawn(http)
    assert outcome["status"] == "error"
    [output] = outcome["media_outputs"]
    assert (output["status"], output["url"], output["files"]) == ("error", None, [])
    listed = (await http.get(outcome["urls"]["entities"])).json()["entities"]
    [picture] = [entity for entity in listed if entity["type"] == "output_image"]
    assert not picture["available"]
    assert (await http.get(picture["url"])).status_code == 404


async def test_levels_without_the_check_ask_no_judge(
    http: httpx.AsyncClient, vision: FakeOpenAI
) -> None:
    levels = (await http.get("/api/system")).json()["image_check_levels"]
    assert levels == ["kids", "youth"]
    vision.script(SAFE)
    before = len(vision.requests)
    assert (await drawn(http, safety_level="kids"))["status"] == "success"
    assert len(vision.requests) == before + 1
    # A text is not seen.
    assert (await drawn(http, output_configs=["builtin_text"]))["status"] == "success"
    assert len(vision.requests) == before + 1


async def test_a_picture_that_is_brought_is_made_fit_and_used(
    http: httpx.AsyncClient, running: Running, vision: FakeOpenAI, comfy: FakeComfyUI
) -> None:
    vision.script(SAFE)
    run_id = await start_run(http, output_configs=["qwen_img2img"], input_images=1)
    address = f"/api/runs/{run_id}/input_images/1"
    nonsense = await http.put(address, content=b"Dear diary")
    assert nonsense.status_code == 422
    assert nonsense.json()["reason"].startswith("MEDIA_")
    answer = await http.put(address, content=photo())
    assert answer.status_code == 200, answer.text
    entity = answer.json()["entity"]
    recorded = (await http.get(entity["url"])).content
    with Image.open(io.BytesIO(recorded)) as picture:
        assert picture.size == (2048, 1024)
        assert not picture.getexif()
        pixels = picture.convert("RGB")
        # Upright: what was the corner at the top left is now at the bottom right.
        red, _, blue = pixels.getpixel((2000, 1000))  # type: ignore[misc]
        assert red > 200 > blue
    assert b"Zebulon" not in recorded
    # More than the recorder takes in one call.
    assert len(recorded) > 1024 * 1024
    repeated = await http.put(address, content=photo())
    assert repeated.json()["entity"] == entity
    other = await http.put(address, content=photo((64, 64)))
    assert (other.status_code, other.json()["reason"]) == (409, "INPUT_IMAGE_DIFFERS")
    assert await ended(http, run_id) == "succeeded", (await document_of(http, run_id))["error"]
    uploaded = [path.read_bytes() for path in (comfy.root / "input").rglob("*") if path.is_file()]
    assert uploaded == [recorded]
    document = await document_of(http, run_id)
    assert sorted(document["completed_outputs"]) == sorted(document["expected_outputs"])
    assert (await artlab("verify", str(running.run_folder(run_id)))).code == 0


async def test_the_command_line_brings_a_picture(running: Running, vision: FakeOpenAI) -> None:
    vision.script(SAFE)
    path = running.logs / "hund.jpg"
    path.write_bytes(photo((640, 480)))
    ended_as = await artlab(
        *("run", "Mein Hund", "--config", "dada", "--output", "qwen_img2img"),
        *("--image", str(path), "--url", running.url, "--quiet"),
    )
    assert ended_as.code == 0, ended_as
    assert f"{running.url}/api/pipeline/" in ended_as.out


async def test_a_picture_that_is_brought_and_refused_ends_the_run_and_is_not_kept(
    http: httpx.AsyncClient, running: Running, vision: FakeOpenAI
) -> None:
    vision.script(NO)
    run_id = await start_run(http, output_configs=["qwen_img2img"], input_images=1, language="de")
    answer = await http.put(f"/api/runs/{run_id}/input_images/1", content=photo())
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["entity"]) == ("blocked", None)
    assert answer.json()["block"]["rule"] == "youth.violence"
    document = await document_of(http, run_id)
    assert [entity["type"] for entity in document["entities"]] == [
        "input",
        "safety_image",
        "explanation",
    ]
    assert (document["error"]["reason"], document["error"]["stage"]) == ("SAFETY_BLOCKED", 1)


async def test_outputs_that_take_a_picture_are_not_started_without_one(
    http: httpx.AsyncClient,
) -> None:
    body = {"schema": "dada", "input_text": "x", "output_configs": ["qwen_img2img"]}
    answer = await http.post("/api/schema/pipeline/execute", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (422, "INPUT_IMAGES_REQUIRED")
    assert answer.json()["field"] == "input_images"
    glitter = {"schema": "dada", "input_text": "x", "parameters": {"glitter": 1}}
    answer = await http.post("/api/schema/pipeline/execute", json=glitter)
    assert (answer.status_code, answer.json()["reason"]) == (422, "UNKNOWN_PARAMETER")
    assert answer.json()["field"] == "parameters.glitter"


async def test_a_picture_is_looked_at_again_when_who_looked_is_gone(
    http: httpx.AsyncClient, running: Running, vision: FakeOpenAI
) -> None:
    vision.script(Never(), SAFE)
    before = len(vision.requests)
    run_id = await start_run(http, output_configs=["builtin_image"])
    await eventually(lambda: len(vision.requests) > before, 20, "the first look")
    picture = f"/api/pipeline/{run_id}/entity/output_image"
    assert (await http.get(picture)).status_code == 404
    await running.restart("safety")
    assert await ended(http, run_id) == "succeeded"
    assert (await http.get(picture)).status_code == 200
    assert len(vision.requests) == before + 2


async def test_a_run_that_waits_goes_on_waiting_when_its_orchestrator_is_gone(
    http: httpx.AsyncClient, running: Running, vision: FakeOpenAI
) -> None:
    vision.script(SAFE)
    run_id = await start_run(http, output_configs=["qwen_img2img"], input_images=1)
    await running.restart("orchestrator")
    there = await http.put(f"/api/runs/{run_id}/input_images/1", content=photo((64, 64)))
    assert there.status_code == 200, there.text
    assert await ended(http, run_id) == "succeeded"
    late = await http.put(f"/api/runs/{run_id}/input_images/1", content=photo((32, 32)))
    assert (late.status_code, late.json()["reason"]) == (409, "INPUT_IMAGE_DIFFERS")
