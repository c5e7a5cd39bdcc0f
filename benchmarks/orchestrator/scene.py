"""Six real services on a real disk, with backends that work in no time, and a client of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.recorder.client import file_system
from tests.faults.recorder_process import RecorderProcess
from tests.support.processes import Running, six_services
from tests.support.run_folders import write_runs

# In memory a sync costs nothing.
NO_DISKS = ("tmpfs", "ramfs", "overlayfs")
PROMPT = "Eine Blume auf der Wiese"
# Input, translation, two verdicts, interception, output; with metadata.json seven durable files.
ENTITIES = 6
RUN_SECONDS = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
# Nobody is to be turned away here: what is measured is work, not admission.
SETTINGS = {
    "ARTLAB_GATEWAY_RUN_STARTS_PER_MINUTE": "100000",
    "ARTLAB_GATEWAY_MAX_WAITING_RUNS": "1000",
    "ARTLAB_ORCHESTRATOR_MAX_RUNS": "1000",
}

IN_PEACE = {
    "ARTLAB_RECORDER_TRACKER": "none",
    "ARTLAB_RECORDER_SCRUB_BYTES_PER_SECOND": "0",
}
# Of a recorder over 100 000 runs without an index.
INDEX_SECONDS = 1200.0


@dataclass
class Scene:
    """The services, and short ways to ask."""

    running: Running
    folder: Path
    session: aiohttp.ClientSession
    _seeds: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def run(self) -> float:
        """One run with one text, from the request to the answer that it is final; in ms.

        The people take turns, so that no person's own limit is met.
        """
        seed = next(self._seeds)
        body = {
            "schema": "dada",
            "input_text": PROMPT,
            "output_configs": ["builtin_text"],
            "seed": seed,
            "user_id": f"person-{seed % 200}",
        }
        began = time.perf_counter()
        async with self.session.post("/api/schema/pipeline/execute", json=body) as answer:
            outcome = await answer.json()
        taken = (time.perf_counter() - began) * 1000
        if outcome.get("status") != "success":
            raise SystemExit(f"the run did not succeed: {str(outcome)[:400]}")
        return taken

    def cpu_seconds(self) -> Mapping[str, float]:
        """Processor time of each service and what it started, in user and kernel, so far."""
        return {name: _cpu_seconds(pid) for name, pid in self.running.pids.items()}


@asynccontextmanager
async def scene(stored: int = 0) -> AsyncIterator[Scene]:
    """Start everything on an empty folder of the disk of TMPDIR, and remove it after.

    With `stored` there are so many finished runs and their index before, and nothing that is done
    about them in the background: no scrubbing, no tracker.
    """
    with tempfile.TemporaryDirectory(prefix="artlab-bench-") as place:
        folder = Path(place)
        if file_system(folder) in NO_DISKS:
            raise SystemExit(f"{folder} is on no disk: set TMPDIR to one")
        if stored:
            await asyncio.to_thread(_store, folder, stored)
        timeout = aiohttp.ClientTimeout(total=RUN_SECONDS)
        async with (
            six_services(folder, **SETTINGS, **(IN_PEACE if stored else {})) as running,
            aiohttp.ClientSession(
                running.url, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
            ) as session,
        ):
            made = Scene(running, folder, session)
            # What is loaded when it is first needed is not what this is about.
            for _ in range(5):
                await made.run()
            yield made


def _store(folder: Path, stored: int) -> None:
    write_runs(folder / "runs", range(stored))
    # The services are started when it has its index.
    process = RecorderProcess(folder / "runs", folder / "log")
    try:
        process.wait_until_serving(INDEX_SECONDS)
    finally:
        process.terminate()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / _TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(_cpu_seconds(int(child)) for child in children)
