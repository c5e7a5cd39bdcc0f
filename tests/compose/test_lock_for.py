"""The part of the lock file that goes into each image: complete, and no more than that."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
# What we leave out on purpose.
LEFT_OUT = {
    canonicalize_name(name)
    for name in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"][
        "exclude-dependencies"
    ]
}
SERVICES = ("gateway", "interception", "media", "orchestrator", "recorder", "safety")


def _lock_for(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/lock_for.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _pins(text: str) -> list[Requirement]:
    """The pins that hold for this interpreter."""
    lines = (line.removesuffix("\\") for line in text.splitlines() if not line.startswith(" "))
    found = [Requirement(line) for line in lines]
    return [pin for pin in found if pin.marker is None or pin.marker.evaluate({"extra": ""})]


@pytest.mark.parametrize("service", SERVICES)
def test_everything_a_locked_package_requires_is_listed_with_it(service: str) -> None:
    result = _lock_for(service)
    assert result.returncode == 0, result.stderr
    pins = _pins(result.stdout)
    names = {canonicalize_name(pin.name) for pin in pins}
    assert {"grpcio", "protobuf", "pydantic"} <= names
    for pin in pins:
        for line in requires(pin.name) or []:
            needed = Requirement(line)
            if canonicalize_name(needed.name) in LEFT_OUT:
                assert canonicalize_name(needed.name) not in names
            elif needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in names, f"{pin.name} needs {line}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_pin_is_exact_and_hashed_as_in_the_lock_file(service: str) -> None:
    blocks = re.split(r"\n(?=\S)", _lock_for(service).stdout.rstrip("\n"))
    lock = (ROOT / "requirements.lock").read_text()
    for block in blocks:
        first, *hashes = block.splitlines()
        assert re.match(r"[a-z0-9-]+==\S+", first)
        assert hashes
        assert block in lock


@pytest.mark.parametrize("service", SERVICES)
def test_no_tool_of_development_is_in_an_image(service: str) -> None:
    names = {pin.name for pin in _pins(_lock_for(service).stdout)}
    assert not names & {"pytest", "mypy", "ruff", "grpcio-tools", "hatchling", "uv", "aiohttp"}


def test_each_service_gets_only_its_own_libraries() -> None:
    names = {s: {pin.name for pin in _pins(_lock_for(s).stdout)} for s in SERVICES}
    assert {s for s in SERVICES if "fastapi" in names[s]} == {"gateway"}
    assert {s for s in SERVICES if "py3langid" in names[s]} == {"interception"}
    assert {s for s in SERVICES if "onnxruntime" in names[s]} == {"safety"}


def test_an_unknown_service_is_refused_by_name() -> None:
    result = _lock_for("painter")
    assert result.returncode == 1
    assert "no such service: painter" in result.stderr
    assert result.stdout == ""
