"""`artlab pipeline run`, stopped by Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.support.command import artlab_process, line_with

STEP = """
import asyncio

class Slow:
    async def run(self, inputs, scope):
        print("at work", flush=True)
        try:
            await asyncio.sleep(3600)
        finally:
            print("put away", flush=True)
"""


async def test_ctrl_c_ends_the_step_that_is_at_work_and_says_so_by_its_exit_code(
    tmp_path: Path,
) -> None:
    (tmp_path / "slow_steps.py").write_text(STEP)
    path = tmp_path / "slow.yaml"
    path.write_text('name: slow\nsteps:\n- {id: a, type: "slow_steps:Slow"}\n')
    async with artlab_process("pipeline", "run", str(path), "--input", "x") as process:
        await line_with(process, "at work")
        process.send_signal(signal.SIGINT)
        await line_with(process, "put away")
        async with asyncio.timeout(20):
            _, told = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in told
