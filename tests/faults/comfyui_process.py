"""A ComfyUI in a process of its own: killed it loses queue and history and keeps its files."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.kit.catalogue import CONFIGS

START_SECONDS = 30.0


@dataclass(frozen=True)
class Execution:
    """One time a prompt was run: in which life of the process, when, and how it ended."""

    prompt_id: str
    life: int
    at: float
    ending: str


class ComfyProcess:
    """`python -m tests.fakes.comfyui` on a port of its own; its files and its ledger stay."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *arguments: str,
        host: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://{host}:{port}"
        self._arguments = ("--host", host, *arguments)
        # A command that starts another one somewhere else.
        self._within = within
        self._process: asyncio.subprocess.Process | None = None
        # When each life was over, by process id.
        self.deaths: dict[int, float] = {}

    async def start(self) -> None:
        """Start and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *(*self._within, sys.executable),
            *("-m", "tests.fakes.comfyui", "--port", str(self.port)),
            *("--directory", str(self.folder), "--ledger", str(self.ledger), *self._arguments),
            stdout=asyncio.subprocess.PIPE,
            cwd=CONFIGS.parent,
        )
        assert self._process.stdout is not None
        assert await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        self.deaths[self._process.pid] = time.time()

    async def freeze(self) -> None:
        """SIGSTOP: its port is open, its jobs stand still, nobody answers."""
        self._send(signal.SIGSTOP)

    async def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    @property
    def ledger(self) -> Path:
        """Where every execution of every life is written down."""
        return self.folder / "ledger.jsonl"

    def executions(self) -> list[Execution]:
        """Every execution, in order."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        events = [json.loads(line) for line in lines]
        return [
            Execution(event["prompt_id"], event["life"], event["at"], _ending(events[number + 1 :]))
            for number, event in enumerate(events)
            if event["event"] == "began"
        ]

    def file(self, name: str) -> bytes:
        """The bytes of a file it made."""
        return (self.folder / "output" / "artlab" / name).read_bytes()


def _ending(later: list[dict[str, object]]) -> str:
    # One at a time: the next line is about the same execution, or of another life.
    return str(later[0]["event"]) if later and later[0]["event"] != "began" else ""
