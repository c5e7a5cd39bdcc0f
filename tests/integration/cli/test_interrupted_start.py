"""Ctrl-C before a command has begun."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.support.command import artlab_process, line_with

ROOT = Path(__file__).parents[3]
# The first that is imported of what takes long.
SLOW = """
import time
print("importing", flush=True)
try:
    time.sleep(60)
except BaseException:
    print("swallowed", flush=True)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["run", "Eine Blume"]])
async def test_ctrl_c_while_it_is_imported_ends_it_and_says_nothing(
    tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "click.py").write_text(SLOW)
    settings = {"PYTHONPATH": f"{tmp_path}:{ROOT}:{ROOT / 'protos'}"}
    async with artlab_process(*arguments, settings=settings) as process:
        await line_with(process, "importing")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")
