"""The service as a process, with judges that are models at a server."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import orjson

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.catalogue import CONFIGS
from services.kit.channel import is_serving, open_channel
from tests.fakes.openai_server import FakeOpenAI, Say, Status
from tests.integration.safety.process import (
    START_SECONDS,
    free_port,
    picture,
    refusal,
    running,
    start,
)
from tests.support.eventually import eventually
from tests.unit.safety.images import encoded, meadow


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
        model.script(Status(503))
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
    assert (told["reason"], told["judge"]) == ("SAFETY_UNAVAILABLE", "openai:guard")


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
