"""The live view on a real terminal (a pty)."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import sys

from tests.integration.cli.scripted_gateway import Hold, ScriptedGateway, scripted
from tests.integration.cli.steps import FACTS, SAFE, delta, document, rendered
from tests.support.command import environment
from tests.support.eventually import eventually

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Reads what a process writes to its terminal."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.text = ""

    def read(self) -> str:
        try:
            while data := os.read(self.master, 65536):
                self.text += data.decode("utf-8", "replace")
        except OSError:  # nothing now, or the other end is closed
            pass
        return _CONTROLS.sub("", self.text)


async def test_a_terminal_shows_the_text_as_it_grows_and_the_rendering_as_a_bar() -> None:
    script = (*FACTS[:5], delta(0, "Wiese"), delta(5, " Blume"), Hold())
    gateway = ScriptedGateway(script, {3: SAFE, 4: b"Wiese Blume Wiese"}, document("succeeded"))
    terminal = Terminal()
    async with scripted(gateway):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.cli", "run", "Blume", "--config", "dada"),
            *("--url", gateway.url),
            stdin=terminal.slave,
            stdout=terminal.slave,
            stderr=terminal.slave,
            env=environment({"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}),
            start_new_session=True,
        )
        os.close(terminal.slave)
        try:
            await eventually(lambda: "Wiese Blume▌" in terminal.read(), what="the growing text")
            assert "stage 2  interception  3/6" in terminal.read()
            gateway.steps = (*FACTS[:8], rendered(0.5), Hold(), *FACTS[8:])
            gateway.cancelled.set()  # releases the first Hold; the stream ends and is resumed
            gateway.cancelled = asyncio.Event()
            await eventually(lambda: " 50% executing" in terminal.read(), what="the bar")
            assert "━" in terminal.read()
            gateway.cancelled.set()
            async with asyncio.timeout(10):
                assert await process.wait() == 0
            shown = terminal.read()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            os.close(terminal.master)
    assert shown.rstrip().endswith("succeeded")
    # The cursor is visible again.
    assert terminal.text.rfind("\x1b[?25h") > terminal.text.rfind("\x1b[?25l")
