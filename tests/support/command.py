"""The `artlab` command as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NO_SETTINGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment without anybody's settings, and with these."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ARTLAB_")}
    return {**clean, "PYTHONUNBUFFERED": "1", **settings}


@asynccontextmanager
async def artlab_process(
    *arguments: str, cwd: Path | None = None, settings: Mapping[str, str] = NO_SETTINGS
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start `artlab …`; it does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(settings),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def line_with(process: asyncio.subprocess.Process, text: str, seconds: float = 20) -> str:
    """Read the process's output up to the line that contains `text`, and return that line."""
    assert process.stdout is not None
    async with asyncio.timeout(seconds):
        while line := (await process.stdout.readline()).decode():
            if text in line:
                return line
    raise AssertionError(f"it ended without a line with {text!r}")


async def artlab(
    *arguments: str,
    stdin: bytes = b"",
    timeout_seconds: float = 30.0,
    cwd: Path | None = None,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> Ended:
    """Run `artlab …` to its end."""
    async with artlab_process(*arguments, cwd=cwd, settings=settings) as process:
        async with asyncio.timeout(timeout_seconds):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())
