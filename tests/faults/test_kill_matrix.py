"""Client, media service, recorder and two ComfyUIs, killed or frozen at random moments of a job.

Whatever is killed, each output is recorded exactly once, with the bytes of the very job that made
it; ComfyUI runs it again only when it had lost it; and every refusal on the way is a true one.

Where in a job a kill falls is the point of it, so here time itself is the input. The choices
follow a seed, which is printed. To begin with the round of a seed:

    KILL_MATRIX=<seed> .venv/bin/pytest tests/faults/test_kill_matrix.py -k few
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.cli.ports import free_ports
from services.kit.channel import open_channel
from services.kit.errors import ArtlabError
from services.kit.status import remote_errors
from services.media.domain.png_text import without_texts
from services.recorder.verify import verify_run
from tests.faults.comfyui_process import ComfyProcess, Execution
from tests.integration.media.world import Service, create_run, entity_of, request, sha256
from tests.support.tcp_proxy import TcpProxy

FEW_ROUNDS, MANY_ROUNDS = 3, 67
JOBS_AT_ONCE = 3
JOB_SECONDS = 60.0
# A job takes about as long; some kills come before it begins, some after its end.
LATEST_KILL_SECONDS = 1.2
LONGEST_AWAY_SECONDS = 0.8
# In the long run longer than a start of the media service and its first looks, so that it finds
# away what it needs: without its journal it would hand the job to the other one.
FEW_FROZEN_SECONDS, MANY_FROZEN_SECONDS = 3.0, 15.0
# What a caller may hear of while something is down, and then asks again.
PASSING = {
    "COMFY_DOWNLOAD_CUT",
    "COMFY_LOST",
    "COMFY_UNAVAILABLE",
    "DRAINING",
    "MEDIA_CANCELLED",
    "MEDIA_UNAVAILABLE",
    "OUTPUT_NOT_AVAILABLE",
    "RECORDER_UNAVAILABLE",
}
PARAMETERS = {"width": "256", "height": "256", "steps": "4"}


@dataclass(frozen=True)
class Victim:
    """What may go away."""

    take: Callable[[], Awaitable[None]]
    bring_back: Callable[[], Awaitable[None]]
    longest_away_seconds: float = LONGEST_AWAY_SECONDS

    async def suffer(self, before_seconds: float, away_seconds: float) -> None:
        """Go away after so long, for so long."""
        await asyncio.sleep(before_seconds)
        await self.take()
        await asyncio.sleep(away_seconds)
        await self.bring_back()


@dataclass
class Matrix:
    """Everything that can be killed, and how."""

    media: Service
    recorder: Service
    comfys: list[ComfyProcess]
    proxy: TcpProxy
    root: Path
    longest_frozen_seconds: float

    @property
    def victims(self) -> dict[str, Victim]:
        """By name: how it is taken away and brought back, and for how long at most."""
        # What the media service sees of a client that is killed: its connection ends.
        found = {"client": Victim(self.proxy.close, self.proxy.open)}
        found["media"] = Victim(self.media.kill, self.media.start)
        found["recorder"] = Victim(self.recorder.kill, self.recorder.start)
        for number, comfy in enumerate(self.comfys):
            found[f"comfyui {number}"] = Victim(comfy.kill, comfy.start)
            frozen = Victim(comfy.freeze, comfy.thaw, self.longest_frozen_seconds)
            found[f"comfyui {number} frozen"] = frozen
        return found

    async def kill(self, chance: random.Random, told: list[str]) -> None:
        """Take one or two away at moments of the job, and bring them back."""
        victims = self.victims
        chosen = chance.sample(sorted(victims), chance.choice((1, 2, 2)))
        if len({name.removesuffix(" frozen") for name in chosen}) < len(chosen):
            # What is frozen is not killed as well: it would not come back by thawing.
            del chosen[1:]
        async with asyncio.TaskGroup() as group:
            for name in chosen:
                before = chance.uniform(0.0, LATEST_KILL_SECONDS)
                away = chance.uniform(0.0, victims[name].longest_away_seconds)
                told.append(f"{name} after {before:.3f} s for {away:.3f} s")
                group.create_task(victims[name].suffer(before, away))

    async def made(self, upload: str, output: int) -> run_pb2.Entity:
        """Ask for an output as often as it takes. Raises what does not pass by itself."""
        asked = request(
            upload,
            output_config="sd35_large",
            output_index=output,
            seed=None,
            parameters=PARAMETERS,
        )
        async with asyncio.timeout(JOB_SECONDS):
            while True:
                try:
                    return entity_of(await self._ask(asked))
                except ArtlabError as error:
                    if error.reason not in PASSING:
                        raise
                await asyncio.sleep(0.1)

    async def _ask(
        self, asked: media_pb2.GenerateMediaRequest
    ) -> list[media_pb2.GenerateMediaResponse]:
        async with open_channel(f"127.0.0.1:{self.proxy.port}") as channel:
            stub = media_pb2_grpc.MediaServiceStub(channel)
            with remote_errors("media"):
                return [answer async for answer in stub.GenerateMedia(asked, timeout=JOB_SECONDS)]

    def check_executions(self, prompt_id: str) -> None:
        """Run again only after the life that ran it before was over."""
        runs: list[tuple[Execution, ComfyProcess]] = sorted(
            (
                (run, comfy)
                for comfy in self.comfys
                for run in comfy.executions()
                if run.prompt_id == prompt_id
            ),
            key=lambda found: found[0].at,
        )
        assert runs, "somebody ran it"
        for (before, comfy), (after, _) in itertools.pairwise(runs):
            assert comfy.deaths.get(before.life, float("inf")) < after.at, (
                f"{prompt_id} was made a second time while ComfyUI had it: {runs}"
            )


@asynccontextmanager
async def matrix(folder: Path, longest_frozen_seconds: float) -> AsyncIterator[Matrix]:
    ports = free_ports(["media", "recorder", "one", "two"])
    comfys = [
        ComfyProcess(folder / name, ports[name], "--step-seconds", "0.12")
        for name in ("one", "two")
    ]
    recorder = Service(
        "recorder",
        ports["recorder"],
        {"ROOT": str(folder / "runs"), "TRACKER": "none", "LOG_LEVEL": "ERROR"},
    )
    settings = {
        "RECORDER_TARGET": recorder.target,
        "COMFYUI_URLS": ",".join(comfy.url for comfy in comfys),
        "STATE": str(folder / "state"),
        "LOG_LEVEL": "ERROR",
    }
    media = Service("media", ports["media"], settings)
    processes: list[Service | ComfyProcess] = [recorder, *comfys, media]
    async with AsyncExitStack() as stack:
        for one in processes:
            stack.push_async_callback(one.stop)
        proxy = await stack.enter_async_context(TcpProxy("127.0.0.1", ports["media"]))
        await asyncio.gather(*(one.start() for one in processes))
        yield Matrix(media, recorder, comfys, proxy, folder / "runs", longest_frozen_seconds)


async def one_round(world: Matrix, seed: int, told: list[str]) -> None:
    """Some jobs of one run at once, some kills, and what must be true after them."""
    chance = random.Random(seed)
    async with open_channel(world.recorder.target) as channel:
        recorder = recorder_pb2_grpc.RecorderServiceStub(channel)
        run = await create_run(recorder)
        uploads = [f"{run}/uploads/output-{number}" for number in range(1, JOBS_AT_ONCE + 1)]
        async with asyncio.TaskGroup() as group:
            jobs = [
                group.create_task(world.made(upload, number))
                for number, upload in enumerate(uploads, 1)
            ]
            group.create_task(world.kill(chance, told))
        made = [job.result() for job in jobs]
        asked = recorder_pb2.GetRunRequest(name=run, audience=run_pb2.AUDIENCE_RESEARCH)
        found = (await recorder.GetRun(asked, timeout=10, wait_for_ready=True)).run.entities
        assert sorted(one.name for one in found) == sorted(one.name for one in made)
        assert {one.output_index for one in found} == set(range(1, JOBS_AT_ONCE + 1))
        for upload, entity in zip(uploads, made, strict=True):
            await check_entity(world, recorder, upload, entity)
    assert verify_run(world.root / run.removeprefix("runs/")) == []


async def check_entity(
    world: Matrix,
    recorder: recorder_pb2_grpc.RecorderServiceAsyncStub,
    upload: str,
    entity: run_pb2.Entity,
) -> None:
    """Right bytes, nothing left open, and asked again the same, without another execution."""
    prompt_id = entity.metadata["prompt_id"]
    world.check_executions(prompt_id)
    asked = recorder_pb2.ReadEntityRequest(name=entity.name, audience=run_pb2.AUDIENCE_RESEARCH)
    data = b"".join([chunk.data async for chunk in recorder.ReadEntity(asked, timeout=10)])
    assert sha256(data) == entity.digest.sha256
    files = [
        comfy.file(entity.metadata["filename"])
        for comfy in world.comfys
        if (comfy.folder / "output" / "artlab" / entity.metadata["filename"]).exists()
    ]
    assert data in [b"".join(without_texts([file])) for file in files], "of the job that made it"
    state = await recorder.GetUpload(recorder_pb2.GetUploadRequest(upload=upload), timeout=10)
    assert state.entity.name == entity.name
    before = sum(len(comfy.executions()) for comfy in world.comfys)
    again = await world.made(upload, entity.output_index)
    assert again.name == entity.name
    assert sum(len(comfy.executions()) for comfy in world.comfys) == before


async def rounds(folder: Path, count: int, longest_frozen_seconds: float) -> None:
    first = int(os.environ.get("KILL_MATRIX") or random.randrange(1_000_000))
    async with matrix(folder, longest_frozen_seconds) as world:
        for seed in range(first, first + count):
            told: list[str] = []
            try:
                await one_round(world, seed, told)
            except BaseException:
                print(f"KILL_MATRIX={seed}: {'; '.join(told)}")
                raise
    print(f"KILL_MATRIX={first}: {count} rounds of {JOBS_AT_ONCE} jobs")


@pytest.mark.timeout(240)
async def test_a_few_rounds_of_kills_leave_each_output_once(tmp_path: Path) -> None:
    await rounds(tmp_path, FEW_ROUNDS, FEW_FROZEN_SECONDS)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_two_hundred_jobs_survive_kills_of_everybody(tmp_path: Path) -> None:
    await rounds(tmp_path, MANY_ROUNDS, MANY_FROZEN_SECONDS)
