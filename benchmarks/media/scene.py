"""A fake ComfyUI, a media service and a recorder, each a process of its own on a real disk."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from benchmarks.recorder.client import file_system
from services.cli.ports import free_ports
from services.kit.channel import open_channel
from tests.faults.recorder_process import RecorderProcess
from tests.integration.media.world import Service, create_run, request
from tests.support.moving_files import film

CALL_SECONDS = 300.0
START_SECONDS = 20.0
# In memory a sync costs nothing.
NO_DISKS = ("tmpfs", "ramfs", "overlayfs")
SMALL = {"width": "256", "height": "256", "steps": "4"}


@dataclass
class Scene:
    """Where everything listens, and short ways to ask."""

    folder: Path
    comfyui_url: str
    ledger: Path
    media_pid: int
    media: media_pb2_grpc.MediaServiceAsyncStub
    recorder: recorder_pb2_grpc.RecorderServiceAsyncStub

    async def new_run(self) -> str:
        """Create a run and return its name."""
        return await create_run(self.recorder)

    async def delete_run(self, run: str) -> None:
        """Delete a run, and wait until its bytes are gone."""
        asked = recorder_pb2.DeleteRunRequest(name=run)
        await self.recorder.DeleteRun(asked, timeout=CALL_SECONDS)

    async def generate(
        self, upload: str, config: str, parameters: dict[str, str]
    ) -> run_pb2.Entity:
        """Have one output made and recorded."""
        asked = request(upload, output_config=config, parameters=parameters)
        call = self.media.GenerateMedia(asked, timeout=CALL_SECONDS)
        answers: list[media_pb2.GenerateMediaResponse] = [answer async for answer in call]
        return answers[-1].result.entities[0]


@asynccontextmanager
async def scene(film_bytes: int | None = None) -> AsyncIterator[Scene]:
    """Start all three on an empty folder of the disk of TMPDIR, and remove everything after.

    With `film_bytes` ComfyUI makes films of so many bytes, whatever it is asked for.
    """
    with tempfile.TemporaryDirectory(prefix="artlab-bench-") as place:
        folder = Path(place)
        if file_system(folder) in NO_DISKS:
            raise SystemExit(f"{folder} is on no disk: set TMPDIR to one")
        (folder / "spool").mkdir()
        options = []
        if film_bytes is not None:
            path = folder / "film.mp4"
            await asyncio.to_thread(_write_film, path, film_bytes)
            options = ["--output-file", str(path)]
        recorder = RecorderProcess(folder / "runs", folder / "log")
        comfyui, url = await _comfyui(folder, options)
        settings = {
            "RECORDER_TARGET": recorder.target,
            "COMFYUI_URLS": url,
            "LOG_LEVEL": "ERROR",
            "SPOOL": str(folder / "spool"),
            "STATE": str(folder / "state"),
        }
        service = Service("media", free_ports(["media"])["media"], settings)
        try:
            await asyncio.to_thread(recorder.wait_until_serving)
            await service.start()
            async with (
                open_channel(service.target) as to_media,
                open_channel(recorder.target) as to_recorder,
            ):
                yield Scene(
                    folder,
                    url,
                    folder / "ledger",
                    service.pid,
                    media_pb2_grpc.MediaServiceStub(to_media),
                    recorder_pb2_grpc.RecorderServiceStub(to_recorder),
                )
        finally:
            await service.stop()
            comfyui.terminate()
            await comfyui.wait()
            recorder.terminate()


async def _comfyui(folder: Path, options: list[str]) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.comfyui", "--port", "0"),
        *("--directory", str(folder / "comfyui"), "--ledger", str(folder / "ledger")),
        *options,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(START_SECONDS):
        line = (await process.stdout.readline()).decode()
    return process, line.split()[-1]


def _write_film(path: Path, size: int) -> None:
    """A film that plays, and after it a box that players skip, up to the size."""
    played = film(movflags="faststart")
    with path.open("xb") as file:
        file.write(played)
        file.write(struct.pack(">I4sQ", 1, b"free", size - len(played)))
        block = os.urandom(1024 * 1024)
        while (rest := size - file.tell()) > 0:
            file.write(block[:rest])
