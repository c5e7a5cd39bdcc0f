"""The process itself: `python -m services.interception`."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from artlab.interception.v1 import interception_pb2, interception_pb2_grpc
from services.kit.catalogue import CONFIGS
from services.kit.channel import is_serving, open_channel
from tests.support.eventually import eventually

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_the_process_serves_and_sees_recipes_that_come_and_stops_on_a_signal(
    tmp_path: Path,
) -> None:
    port = free_port()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.interception",
        cwd=ROOT,
        env={
            **environ,
            "ARTLAB_INTERCEPTION_PORT": str(port),
            "ARTLAB_RECIPES_DIR": str(tmp_path),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await eventually(lambda: is_serving(f"127.0.0.1:{port}"), 30, "health")
        # Its name decides which it is; everything else of it is as good as any other.
        (tmp_path / "broken.yaml").write_text("pipeline: single\n")
        shutil.copy(CONFIGS / "interception" / "tellastory.yaml", tmp_path / "mine.yaml")
        async with open_channel(f"127.0.0.1:{port}") as channel:
            stub = interception_pb2_grpc.InterceptionServiceStub(channel)
            await eventually(lambda: _is_local(stub, "mine"), 10, "the new recipe")
            # Whoever asks for one that is broken learns what is wrong with it.
            with pytest.raises(grpc.aio.AioRpcError, match=r"broken\.yaml: \w+: Field required"):
                await stub.GetRecipe(interception_pb2.GetRecipeRequest(config_name="broken"))
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    assert b'"stopped"' in errors
    assert b"Traceback" not in errors


async def _is_local(stub: interception_pb2_grpc.InterceptionServiceAsyncStub, name: str) -> bool:
    answer = await stub.ListRecipes(interception_pb2.ListRecipesRequest(), timeout=5)
    found = {recipe.name: recipe.origin for recipe in answer.recipes}
    return found.get(name) == interception_pb2.RECIPE_ORIGIN_LOCAL


def test_a_model_client_is_not_imported_unless_a_model_is_configured() -> None:
    code = (
        "import sys, services.interception.__main__\n"
        "print(sorted(m for m in ('openai', 'httpx2', 'numpy', 'py3langid') if m in sys.modules))"
    )
    # A fixed program of our own.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_defects_of_the_catalogue_end_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: {en: Mine}\n")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
    done = subprocess.run(
        [sys.executable, "-m", "services.interception"],
        cwd=ROOT,
        env={**environ, "ARTLAB_INTERCEPTION_CATALOGUE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "mine.yaml" in done.stderr
    assert "CATALOGUE_INVALID" in done.stderr
    assert "Traceback" not in done.stderr
