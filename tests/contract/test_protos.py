"""The protos lint, their code is fresh, nothing on main breaks, and every RPC is implemented."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUF = Path(sys.executable).with_name("buf")

SERVICERS = [
    ("interception", "InterceptionService", "InterceptionServicer"),
    ("media", "MediaService", "MediaServicer"),
    ("orchestrator", "OrchestratorService", "OrchestratorServicer"),
    ("recorder", "RecorderService", "RecorderServicer"),
    ("safety", "SafetyService", "SafetyServicer"),
]


def _run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_protos_lint_and_are_formatted() -> None:
    for arguments in (("lint",), ("format", "--diff", "--exit-code")):
        done = _run(BUF, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    done = _run(ROOT / "tools" / "protos.sh", tmp_path, PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*_pb2*.py*")}
    committed = {
        path.relative_to(ROOT / "protos"): path.read_bytes()
        for path in (ROOT / "protos").rglob("*_pb2*.py*")
        if "__pycache__" not in path.parts
    }
    assert fresh.keys() == committed.keys()
    stale = [str(name) for name, code in fresh.items() if committed[name] != code]
    assert stale == [], "run `make protos`"


def test_nothing_breaks_what_is_on_main() -> None:
    if shutil.which("git") is None or _run("git", "rev-parse", "main").returncode != 0:
        pytest.skip("no main branch here to compare with: fetch it with `git fetch origin main`")
    if _run("git", "cat-file", "-e", "main:buf.yaml").returncode != 0:
        pytest.skip("main has no protos yet: nothing to compare with")
    done = _run(BUF, "breaking", "--against", ".git#branch=main")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("service", "name", "servicer"), SERVICERS)
def test_every_rpc_of_the_descriptor_is_implemented(service: str, name: str, servicer: str) -> None:
    protos = importlib.import_module(f"artlab.{service}.v1.{service}_pb2")
    module = importlib.import_module(f"services.{service}.servicer")
    implementation = getattr(module, servicer)
    methods = [method.name for method in protos.DESCRIPTOR.services_by_name[name].methods]
    assert methods
    base = getattr(
        importlib.import_module(f"artlab.{service}.v1.{service}_pb2_grpc"), name + "Servicer"
    )
    missing = [one for one in methods if getattr(implementation, one) is getattr(base, one)]
    assert missing == []
