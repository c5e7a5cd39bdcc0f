"""The service as a process: it serves with its lists, and without them it does not start."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from pathlib import Path

import orjson
import psutil
import pytest

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.catalogue import CONFIGS
from services.kit.channel import open_channel
from tests.integration.safety.process import free_port, picture, refusal, running
from tests.support.eventually import eventually
from tests.support.rpc import refused
from tests.unit.safety.images import encoded, meadow

SECRET = "Hakenkreuz über dem Geheimwort Quastenflosser"


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
        ({"JUDGE_MODEL": "m"}, "ARTLAB_SAFETY_JUDGE_BASE_URL is not set"),
        ({"JUDGE_BASE_URL": "http://api.example/v1", "JUDGE_MODEL": "m"}, "JUDGE_BASE_URL"),
        (
            {"LOCAL_ONLY": "1", "JUDGE_BASE_URL": "https://api.example/v1", "JUDGE_MODEL": "m"},
            "ARTLAB_SAFETY_JUDGE_BASE_URL: is not near",
        ),
        (
            {"LOCAL_ONLY": "1", "VISION_BASE_URL": "https://api.example/v1", "VISION_MODEL": "m"},
            "ARTLAB_SAFETY_VISION_BASE_URL: is not near",
        ),
        (
            {
                "LOCAL_ONLY": "1",
                "JUDGE_BASE_URL": "http://127.0.0.1/v1",
                "JUDGE_MODEL": "m",
                "JUDGE_IS_REMOTE": "1",
            },
            "JUDGE_IS_REMOTE",
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
