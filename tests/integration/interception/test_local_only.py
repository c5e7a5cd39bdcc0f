"""Nothing leaves where nothing may: the connections of the real process are counted."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2 as pb
from artlab.interception.v1 import interception_pb2_grpc as grpc_pb
from services.kit.catalogue import CONFIGS
from services.kit.channel import is_serving, open_channel
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.interception.composition import ECO, FAST, heard, request
from tests.support.elsewhere import Elsewhere
from tests.support.eventually import eventually

ROOT = Path(__file__).resolve().parents[3]
TASKS = ("interception", "translation", "media_prompt")


@asynccontextmanager
async def process(environ: dict[str, str]) -> AsyncIterator[grpc_pb.InterceptionServiceAsyncStub]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    ours = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.interception",
        cwd=ROOT,
        env={**ours, **environ, "ARTLAB_INTERCEPTION_PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: is_serving(f"127.0.0.1:{port}"), 30, "health")
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield grpc_pb.InterceptionServiceStub(channel)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


def models_file(folder: Path, far: int, near: str) -> Path:
    """Somebody else's machine for everything in fast mode, one's own for some in eco mode.

    The far one is declared in every way there is: by the table, and by a proxy.
    """
    providers: dict[str, Any] = {
        "far": {"protocol": "openai", "base_url": f"http://127.0.0.1:{far}/v1", "remote": True},
        "claude": {"protocol": "anthropic", "base_url": f"http://127.0.0.1:{far}", "remote": True},
        "through": {
            "protocol": "ollama",
            "base_url": "https://ollama.invalid",
            "proxy": f"http://127.0.0.1:{far}",
            "remote": True,
        },
        "near": {"protocol": "openai", "base_url": near},
    }
    every = [f"{name}/m" for name in ("far", "claude", "through")]
    document = {
        "providers": providers,
        "modes": {
            "eco": {**{task: ["builtin"] for task in TASKS}, "interception": ["near/m"]},
            "fast": {task: every for task in TASKS},
        },
        "recipes": {"bauhaus": {"fast": every}},
    }
    path = folder / "models.yaml"
    path.write_text(json.dumps(document))
    return path


def recipes_folder(folder: Path) -> Path:
    """Three of the shipped recipes, one of which promises to stay."""
    made = folder / "recipes"
    made.mkdir()
    for name in ("dada", "bauhaus", "translation_en"):
        recipe = yaml.safe_load((CONFIGS / "interception" / f"{name}.yaml").read_text())
        recipe["local_only"] = name == "bauhaus"
        (made / f"{name}.yaml").write_text(json.dumps(recipe, ensure_ascii=False))
    return made


async def everything(stub: grpc_pb.InterceptionServiceAsyncStub) -> list[pb.PassResult]:
    """Every kind of text in every mode, and everything else that could ask a server."""
    results = []
    for mode in (ECO, FAST):
        for name in ("dada", "bauhaus", "translation_en"):
            asked = request(name, "Ein Hund im Regen", language="de", execution_mode=mode)
            results.append((await heard(stub, asked)).result)
        rewrite = pb.RewritePromptRequest(
            text="Ein Hund im Regen",
            style="tags",
            kind=common_pb2.MEDIA_KIND_IMAGE,
            execution_mode=mode,
            config_name="bauhaus",
        )
        async for update in stub.RewritePrompt(rewrite, timeout=20):
            if update.WhichOneof("update") == "result":
                results.append(update.result)
    await stub.ListProviders(pb.ListProvidersRequest(), timeout=10)
    async for _ in stub.WarmUp(pb.WarmUpRequest(fetch=True), timeout=20):
        pass
    return results


async def test_a_deployment_that_keeps_texts_to_itself_makes_no_connection_elsewhere(
    tmp_path: Path,
) -> None:
    async with Elsewhere() as elsewhere, FakeOpenAI() as near:
        near.models = ["m"]
        environ = {
            "ARTLAB_INTERCEPTION_MODELS_FILE": str(
                models_file(tmp_path, elsewhere.port, near.base_url)
            ),
            "ARTLAB_INTERCEPTION_CATALOGUE_DIR": str(recipes_folder(tmp_path)),
            "ARTLAB_INTERCEPTION_LOCAL_ONLY": "true",
        }
        async with process(environ) as stub:
            results = await everything(stub)
            told = await stub.ListProviders(pb.ListProvidersRequest(), timeout=10)
    assert elsewhere.connections == 0
    assert told.local_only
    # In fast mode the machine of one's own wrote what it writes in eco mode, and the record says
    # who would have been asked.
    by_backend = [result.used.backend for result in results]
    assert by_backend == ["near", "near", "builtin", "builtin"] * 2
    assert results[4].parameters["fallback_reason"] == "LOCAL_ONLY,LOCAL_ONLY,LOCAL_ONLY"


async def test_a_recipe_that_promises_to_stay_makes_none_and_others_do(tmp_path: Path) -> None:
    async with Elsewhere() as elsewhere, FakeOpenAI() as near:
        environ = {
            "ARTLAB_INTERCEPTION_MODELS_FILE": str(
                models_file(tmp_path, elsewhere.port, near.base_url)
            ),
            "ARTLAB_INTERCEPTION_CATALOGUE_DIR": str(recipes_folder(tmp_path)),
        }
        async with process(environ) as stub:
            for mode in (ECO, FAST):
                asked = request("bauhaus", "Ein Hund im Regen", execution_mode=mode)
                assert (await heard(stub, asked)).result.used.backend == "near"
                rewrite = pb.RewritePromptRequest(
                    text="Ein Hund",
                    style="tags",
                    kind=common_pb2.MEDIA_KIND_IMAGE,
                    execution_mode=mode,
                    config_name="bauhaus",
                )
                async for _ in stub.RewritePrompt(rewrite, timeout=20):
                    pass
            assert elsewhere.connections == 0
            # The count counts: without the promise it is asked.
            call = stub.Intercept(
                request("dada", "Ein Hund im Regen", execution_mode=FAST), timeout=20
            )
            await asyncio.wait([asyncio.ensure_future(call.read())])
    assert elsewhere.connections > 0
