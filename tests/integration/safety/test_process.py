"""The service as a process: it serves with its lists, and without them it does not start."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import psutil
import pytest

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.catalogue import CONFIGS
from services.kit.channel import is_serving, open_channel
from tests.fakes.openai_server import FakeOpenAI, Say, Status
from tests.support.eventually import eventually
from tests.support.rpc import refused
from tests.unit.safety.images import encoded, meadow

START_SECONDS = 15.0
SECRET = "Hakenkreuz über dem Geheimwort Quastenflosser"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(port: int, **settings: str) -> dict[str, str]:
    own = {f"ARTLAB_SAFETY_{name}": value for name, value in settings.items()}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
    return {**inherited, "ARTLAB_SAFETY_PORT": str(port), **own}


async def start(port: int, **settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.safety",
        env=environment(port, **settings),
        cwd=CONFIGS.parent,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def running(port: int, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await start(port, **settings)
    try:
        end = time.monotonic() + START_SECONDS
        while not await is_serving(f"127.0.0.1:{port}", 0.5):
            assert process.returncode is None
            assert time.monotonic() < end
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def refusal(**settings: str) -> tuple[int | None, str]:
    process = await start(free_port(), **settings)
    async with asyncio.timeout(START_SECONDS):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_it_serves_judges_and_stops_without_a_word_of_the_text() -> None:
    port = free_port()
    async with running(port, LEVEL="kids", LOG_LEVEL="DEBUG") as process:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            stub: safety_pb2_grpc.SafetyServiceAsyncStub = safety_pb2_grpc.SafetyServiceStub(
                channel
            )
            policy = await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=5)
            assert policy.level == common_pb2.SAFETY_LEVEL_KIDS
            (judge,) = policy.judges
            assert re.fullmatch("builtin:[0-9a-f]{8}", judge)
            for text in (SECRET, SECRET * 100):
                answer = await stub.CheckText(
                    safety_pb2.CheckTextRequest(
                        text=text,
                        level=common_pb2.SAFETY_LEVEL_KIDS,
                        purpose=safety_pb2.PURPOSE_INPUT,
                        language="de",
                    ),
                    timeout=5,
                )
                assert answer.verdict.decision == safety_pb2.DECISION_BLOCKED
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            _, errors = await process.communicate()
    assert process.returncode == 0
    log = errors.decode()
    assert "Quastenflosser" not in log
    assert "akenkreuz" not in log
    lines = [orjson.loads(line) for line in log.splitlines()]
    assert any(line.get("version") == policy.version for line in lines)


async def test_without_its_folder_for_pictures_it_does_not_start(tmp_path: Path) -> None:
    code, errors = await refusal(SPOOL_DIR=str(tmp_path / "away"))
    assert code == 1
    (line,) = [line for line in errors.splitlines() if "SPOOL_FAILED" in line]
    assert "ARTLAB_SAFETY_SPOOL_DIR" in line
    assert "Traceback" not in errors


def picture(data: bytes) -> Iterator[safety_pb2.CheckImageRequest]:
    yield safety_pb2.CheckImageRequest(
        level=common_pb2.SAFETY_LEVEL_KIDS,
        purpose=safety_pb2.PURPOSE_IMAGE,
        media_type="image/jpeg",
        data=data,
    )


async def test_it_looks_at_pictures_and_leaves_nothing_behind() -> None:
    port = free_port()
    async with running(port, LEVEL="kids", LOG_LEVEL="DEBUG") as process:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            stub: safety_pb2_grpc.SafetyServiceAsyncStub = safety_pb2_grpc.SafetyServiceStub(
                channel
            )
            policy = await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=5)
            assert list(policy.image_judges) == ["nudenet:3.4.2"]
            data = encoded(meadow(), "JPEG", comment=b"Quastenflosser")
            answer = await stub.CheckImage(picture(data), timeout=30)
            assert answer.verdict.decision == safety_pb2.DECISION_SAFE
            assert list(answer.verdict.checks) == ["nudenet:3.4.2"]
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            _, errors = await process.communicate()
    assert process.returncode == 0
    assert not [child for child in children if child.is_running()]
    log = errors.decode()
    assert "Quastenflosser" not in log
    assert '"event":"image judge ready"' in log.replace(": ", ":")


async def test_a_vision_model_is_asked_with_its_key_and_its_no_counts(tmp_path: Path) -> None:
    port, key = free_port(), "sk-very-secret"
    (tmp_path / "key").write_text(key)
    async with FakeOpenAI() as model:
        model.script(
            Say('{"categories": [{"name": "violence", "severity": 3}], "decision": "blocked"}')
        )
        settings = {
            "VISION_BASE_URL": model.base_url,
            "VISION_MODEL": "llava",
            "VISION_API_KEY_FILE": str(tmp_path / "key"),
            "LOG_LEVEL": "DEBUG",
        }
        async with running(port, **settings) as process:
            async with open_channel(f"127.0.0.1:{port}") as channel:
                stub: safety_pb2_grpc.SafetyServiceAsyncStub = safety_pb2_grpc.SafetyServiceStub(
                    channel
                )
                policy = await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=5)
                assert list(policy.image_judges) == ["nudenet:3.4.2", "openai:llava"]
                answer = await stub.CheckImage(picture(encoded(meadow(), "JPEG")), timeout=30)
                assert answer.verdict.rule == "kids.violence"
                assert list(answer.verdict.checks) == list(policy.image_judges)
                assert (answer.verdict.used.backend, answer.keep_blocked) == ("openai", False)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                _, errors = await process.communicate()
    assert model.requests[0].headers["Authorization"] == f"Bearer {key}"
    assert key not in errors.decode()
    assert "base64," not in errors.decode()


async def test_a_language_model_is_asked_and_nobody_is_served_before_it_answers() -> None:
    port, key = free_port(), "sk-very-secret"
    async with FakeOpenAI() as model:
        model.script(Status(404))
        settings = {
            "JUDGE_BASE_URL": model.base_url,
            "JUDGE_MODEL": "guard",
            "JUDGE_API_KEY": key,
            "JUDGE_FORMAT": "llama_guard",
            "LEVEL": "research",
            "LOG_LEVEL": "DEBUG",
        }
        process = await start(port, **settings)
        try:
            async with open_channel(f"127.0.0.1:{port}") as channel:
                stub: safety_pb2_grpc.SafetyServiceAsyncStub = safety_pb2_grpc.SafetyServiceStub(
                    channel
                )
                policy = await stub.GetPolicy(
                    safety_pb2.GetPolicyRequest(), timeout=START_SECONDS, wait_for_ready=True
                )
                assert policy.judges[1:] == ["openai:guard"]
                assert not await is_serving(f"127.0.0.1:{port}", 0.5)
                await eventually(lambda: bool(model.requests))
                model.script(Say("unsafe\nS9"))
                await eventually(lambda: is_serving(f"127.0.0.1:{port}", 0.5))
                request = safety_pb2.CheckTextRequest(
                    text="Ein Quastenflosser",
                    level=common_pb2.SAFETY_LEVEL_RESEARCH,
                    purpose=safety_pb2.PURPOSE_INPUT,
                )
                answer = await stub.CheckText(request, timeout=5)
                assert answer.verdict.rule == "research.mass_harm"
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                _, errors = await process.communicate()
    assert process.returncode == 0
    assert model.requests[-1].headers["Authorization"] == f"Bearer {key}"
    log = errors.decode()
    assert key not in log
    assert "Quastenflosser" not in log
    (told,) = [line for line in map(orjson.loads, log.splitlines()) if "why" in line]
    assert (told["reason"], told["judge"]) == ("TEXT_JUDGE_MODEL_NOT_FOUND", "openai:guard")


async def test_a_judge_that_the_policy_requires_and_nobody_set_up_stops_the_start(
    tmp_path: Path,
) -> None:
    shutil.copytree(CONFIGS / "safety", tmp_path / "safety")
    path = tmp_path / "safety" / "policy.yaml"
    required = path.read_text().replace("judges: [builtin]", "judges: [builtin, language_model]")
    path.write_text(required)
    code, errors = await refusal(CONFIGS=str(tmp_path))
    assert code == 1
    (line,) = [line for line in errors.splitlines() if "TEXT_JUDGE_MISSING" in line]
    assert "language_model must judge texts at kids" in line
    assert "ARTLAB_SAFETY_JUDGE_BASE_URL" in line


async def test_what_it_started_does_not_outlive_it() -> None:
    port = free_port()
    async with running(port) as process:
        await eventually(lambda: bool(psutil.Process(process.pid).children()))
        children = psutil.Process(process.pid).children()
        process.kill()
        await process.wait()
        await eventually(lambda: not any(child.is_running() for child in children))


async def test_without_a_judge_of_pictures_it_says_so_at_start_and_fails_closed() -> None:
    port = free_port()
    async with running(port, LEVEL="kids", NUDENET="false") as process:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            stub: safety_pb2_grpc.SafetyServiceAsyncStub = safety_pb2_grpc.SafetyServiceStub(
                channel
            )
            async with refused("FAILED_PRECONDITION", "IMAGE_JUDGE_MISSING"):
                await stub.CheckImage(picture(encoded(meadow(), "JPEG")), timeout=30)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            _, errors = await process.communicate()
    lines = [orjson.loads(line) for line in errors.decode().splitlines()]
    (told,) = [line for line in lines if line["event"] == "no picture can be checked"]
    assert (told["safety_level"], told["missing_judges"]) == ("kids", ["nudenet"])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"VISION_BASE_URL": "http://127.0.0.1/v1"}, "ARTLAB_SAFETY_VISION_MODEL"),
        ({"VISION_BASE_URL": "127.0.0.1", "VISION_MODEL": "m"}, "ARTLAB_SAFETY_VISION_BASE_URL"),
        # Pictures of children would travel in the clear.
        (
            {"VISION_BASE_URL": "http://api.example/v1", "VISION_MODEL": "m"},
            "ARTLAB_SAFETY_VISION_BASE_URL",
        ),
        ({"JUDGE_BASE_URL": "http://127.0.0.1/v1"}, "ARTLAB_SAFETY_JUDGE_MODEL"),
        ({"JUDGE_BASE_URL": "http://api.example/v1", "JUDGE_MODEL": "m"}, "JUDGE_BASE_URL"),
        (
            {"LOCAL_ONLY": "1", "JUDGE_BASE_URL": "https://api.example/v1", "JUDGE_MODEL": "m"},
            "ARTLAB_SAFETY_JUDGE_BASE_URL: is not near",
        ),
        (
            {"LOCAL_ONLY": "1", "VISION_BASE_URL": "https://api.example/v1", "VISION_MODEL": "m"},
            "ARTLAB_SAFETY_VISION_BASE_URL: is not near",
        ),
        ({"JUDGE_FORMAT": "yaml"}, "ARTLAB_SAFETY_JUDGE_FORMAT"),
        ({"NUDENET": "perhaps"}, "ARTLAB_SAFETY_NUDENET"),
    ],
)
async def test_wrong_settings_of_the_judges_are_named(settings: dict[str, str], why: str) -> None:
    code, errors = await refusal(**settings)
    assert code == 78
    assert why in errors


@pytest.mark.parametrize("level", ["off", "", "KIDS", "0"])
async def test_an_unknown_level_is_refused_and_never_means_research(level: str) -> None:
    code, errors = await refusal(LEVEL=level)
    assert code == 78
    assert "ARTLAB_SAFETY_LEVEL" in errors


async def test_a_missing_list_stops_the_service(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS / "safety", tmp_path / "safety")
    (tmp_path / "safety" / "terms" / "de.yaml").unlink()
    code, errors = await refusal(CONFIGS=str(tmp_path))
    assert code == 1
    assert "terms/de.yaml" in errors


async def test_every_defect_is_logged_however_many(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS / "safety", tmp_path / "safety")
    for name in ("terms", "rules", "explanations"):
        for language in ("de", "en"):
            (tmp_path / "safety" / name / f"{language}.yaml").write_text("language: 7\n")
    code, errors = await refusal(CONFIGS=str(tmp_path))
    assert code == 1
    lines = [orjson.loads(line) for line in errors.splitlines()]
    named = {line["file"] for line in lines if line["event"] == "defect"}
    assert named == {
        f"{name}/{language}.yaml"
        for name in ("terms", "rules", "explanations")
        for language in ("de", "en")
    }
