"""`artlab policy` as people run it: by the files, and by a service that runs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from artlab.safety.v1 import safety_pb2
from services.cli.policy_document import policy_document
from services.kit.catalogue import CONFIGS
from services.safety.domain.levels import Level
from services.safety.translate_policy import to_policy
from tests.integration.safety.image_server import listening
from tests.unit.safety.support import safety


async def artlab(*arguments: str, **settings: str) -> tuple[int | None, str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.cli", "policy", *arguments),
        env={**inherited, "COLUMNS": "160", **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


def told() -> safety_pb2.GetPolicyResponse:
    return to_policy(safety(), Level.YOUTH, [], [])


async def document(*arguments: str, **settings: str) -> dict[str, Any]:
    code, out, errors = await artlab(*arguments, "--json", **settings)
    assert (code, errors) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


async def test_the_table_tells_levels_purposes_checks_judges_pictures_and_lists() -> None:
    code, out, errors = await artlab(ARTLAB_SAFETY_LEVEL="kids")
    assert (code, errors) == (0, "")
    assert f"level kids; version {safety().version}; judges builtin:" in out
    assert "refused at every level: sexualised_minors, mass_harm" in out
    for word in ("research", "media_prompt", "2. personal_data", "nudenet", "unless teaching"):
        assert word in out
    for one in safety().lists:
        assert one.version in out


async def test_the_table_in_the_documentation_is_the_one_in_force() -> None:
    code, out, errors = await artlab("--markdown")
    assert (code, errors) == (0, "")
    assert out.strip() in (CONFIGS.parent / "docs" / "safety.md").read_text()


async def test_a_level_and_a_purpose_are_a_part_of_the_document() -> None:
    found = await document("--level", "kids", "--level", "adult", "--purpose", "code")
    assert [(row["level"], row["purpose"]) for row in found["rows"]] == [
        ("kids", "code"),
        ("adult", "code"),
    ]
    assert found["images"] == []
    kids, adult = found["rows"]
    assert kids["categories"]["hate_symbols"] == {"outcome": "block", "severity": 1}
    assert adult["categories"]["hate_symbols"]["signals"] == 2
    assert kids["checks"][-1] == {
        "check": "judge",
        "judges": ["builtin"],
        "on_hit": "continue",
        "on_failure": "error",
    }
    pictures = policy_document(told(), ["youth"], ["image"])
    assert pictures["rows"] == []
    assert [row["level"] for row in pictures["images"]] == ["youth"]


async def test_a_running_service_tells_the_same() -> None:
    async with listening() as target:
        found = await document("--running", target)
    ours = policy_document(told())
    assert found["judges"][0].startswith("builtin:")
    for name in ("rows", "images", "lists", "llama_guard", "version", "always_refused"):
        assert found[name] == ours[name]
    code, out, errors = await artlab("--running", "127.0.0.1:9")
    assert (code, out) == (1, "")
    assert "artlab: no policy: SAFETY_UNAVAILABLE" in errors


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    shutil.copytree(CONFIGS / "safety", tmp_path / "safety")
    return tmp_path


async def test_a_broken_policy_is_told_defect_by_defect(configs: Path) -> None:
    path = configs / "safety" / "policy.yaml"
    text = path.read_text()
    text = text.replace("    violence: {outcome: block}\n", "    violence: {outcome: allow}\n", 1)
    path.write_text(text.replace("judges: [builtin]", "judges: [oracle]", 1))
    code, out, errors = await artlab("--configs", str(configs))
    assert code == 1
    assert "policy.yaml: rows: violence is laxer at kids than at youth for input" in out
    assert "policy.yaml: rows.0.checks: unknown judge oracle" in out
    assert "policy.yaml: rows.0.checks: the judges must include builtin" in out
    assert errors.startswith("artlab: ")
    assert "defects in the policy" in errors


async def test_a_judge_that_is_required_and_not_set_up_is_told_beside_the_table(
    configs: Path,
) -> None:
    path = configs / "safety" / "policy.yaml"
    required = "judges: [builtin, language_model]"
    path.write_text(path.read_text().replace("judges: [builtin]", required))
    code, out, errors = await artlab("--configs", str(configs), "--purpose", "input")
    assert code == 1
    assert "builtin, language_model" in out
    assert errors == (
        "artlab: language_model must judge texts, and ARTLAB_SAFETY_JUDGE_BASE_URL is not set\n"
    )
