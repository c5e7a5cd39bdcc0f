"""The media service is killed at every step of a job at ComfyUI; asked again, it takes the job up.

ComfyUI counts what it runs: one picture is made once, whenever the kill comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest

from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.cli.ports import free_ports
from services.kit.channel import open_channel
from services.media.domain.png_text import without_texts
from tests.fakes.comfyui import FakeComfyUI, fake_comfyui
from tests.integration.media.world import (
    CALL_SECONDS,
    Service,
    create_run,
    entity_of,
    recorder_at,
    request,
    sha256,
)
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(90)

Reach = Callable[[FakeComfyUI], Awaitable[None]]


@dataclass
class Bench:
    """A media service that can be killed, between a ComfyUI and a recorder."""

    fake: FakeComfyUI
    service: Service
    recorder: recorder_pb2_grpc.RecorderServiceAsyncStub
    run: str

    def asked(self, output: int = 1) -> media_pb2.GenerateMediaRequest:
        """The same request each time; nobody chose its seed."""
        name = f"{self.run}/uploads/output-{output}"
        values = {"width": "256", "height": "256", "steps": "4"}
        return request(
            name, output_config="sd35_large", output_index=output, seed=None, parameters=values
        )

    async def generate(self, output: int = 1) -> list[media_pb2.GenerateMediaResponse]:
        """Ask until the end of the call."""
        async with open_channel(self.service.target) as channel:
            stub = media_pb2_grpc.MediaServiceStub(channel)
            # After a kill the library waits a moment before it connects again.
            call = stub.GenerateMedia(self.asked(output), timeout=CALL_SECONDS, wait_for_ready=True)
            return [answer async for answer in call]

    async def recorded(self) -> list[run_pb2.Entity]:
        """What the recorder has of the run."""
        asked = recorder_pb2.GetRunRequest(name=self.run, audience=run_pb2.AUDIENCE_RESEARCH)
        return list((await self.recorder.GetRun(asked, timeout=CALL_SECONDS)).run.entities)

    async def check(self, entity: run_pb2.Entity) -> None:
        """One entity, made once, with the bytes of its file and the seed it was made with."""
        (found,) = await self.recorded()
        assert found.name == entity.name
        assert list(self.fake.executions.values()) == [1]
        (file,) = (self.fake.root / "output" / "artlab").iterdir()
        data = await asyncio.to_thread(file.read_bytes)
        # ComfyUI writes the prompt into its files; nobody else is to read it there.
        assert entity.digest.sha256 == sha256(b"".join(without_texts([data])))
        graph = self.fake.prompts[-1]["prompt"]
        assert entity.metadata["seed"] == str(graph["3"]["inputs"]["seed"])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """All three, started, with an empty run."""
    async with fake_comfyui() as fake, recorder_at(tmp_path / "runs") as target:
        settings = {
            "RECORDER_TARGET": target,
            "COMFYUI_URLS": fake.url,
            "STATE": str(tmp_path / "state"),
            "LOG_LEVEL": "WARNING",
        }
        service = Service("media", free_ports(["media"])["media"], settings)
        async with open_channel(target) as channel:
            recorder = recorder_pb2_grpc.RecorderServiceStub(channel)
            await service.start()
            try:
                yield Bench(fake, service, recorder, await create_run(recorder))
            finally:
                await service.stop()


@asynccontextmanager
async def asking(bench: Bench) -> AsyncIterator[None]:
    """A first call under way, which ends with the kill."""
    call = asyncio.create_task(bench.generate())
    try:
        yield
    finally:
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def before_anything_was_sent(fake: FakeComfyUI) -> None:
    fake.script.hold = "before GET /queue"
    await eventually(lambda: fake.held > 0, 20, "the look before the submission")


async def while_the_prompt_was_on_its_way(fake: FakeComfyUI) -> None:
    fake.script.hold = "before POST /prompt"
    await eventually(lambda: fake.held > 0, 20, "the submission")


async def before_the_prompt_was_answered(fake: FakeComfyUI) -> None:
    fake.script.hold = "after POST /prompt"
    fake.script.hang_at = "KSampler"
    await eventually(lambda: fake.held > 0, 20, "the submission")


async def while_it_ran(fake: FakeComfyUI) -> None:
    fake.script.hang_at = "KSampler"
    await eventually(lambda: fake.worker.running is not None, 20, "the job at work")


async def when_it_was_finished_and_nobody_had_seen_it(fake: FakeComfyUI) -> None:
    await while_it_ran(fake)
    fake.script.hold = "after GET /history"
    fake.script.hang_at = None
    await eventually(lambda: fake.held > 0 and bool(fake.worker.history), 20, "its end")


async def while_its_bytes_came(fake: FakeComfyUI) -> None:
    fake.script.output_bytes = 4_000_000
    fake.script.view_answers = deque(["stalled"])
    await eventually(
        lambda: any((seen.method, seen.path) == ("GET", "/view") for seen in fake.requests),
        20,
        "the download",
    )


@pytest.mark.parametrize(
    "reach",
    [
        before_anything_was_sent,
        while_the_prompt_was_on_its_way,
        before_the_prompt_was_answered,
        while_it_ran,
        when_it_was_finished_and_nobody_had_seen_it,
        while_its_bytes_came,
    ],
)
async def test_media_killed_and_asked_again_takes_up_what_it_began(
    bench: Bench, reach: Reach
) -> None:
    async with asking(bench):
        await reach(bench.fake)
        await bench.service.kill()
    bench.fake.script.hold = ""
    if reach is while_the_prompt_was_on_its_way:
        await eventually(lambda: bool(bench.fake.executions), 10, "what was on its way")
    await bench.service.start()
    call = asyncio.create_task(bench.generate())
    if reach in (before_the_prompt_was_answered, while_it_ran):
        # It still runs when it is taken up.
        looks = len(bench.fake.requests)
        await eventually(
            lambda: len(bench.fake.requests) > looks + 3, 20, "the looks of the second"
        )
        bench.fake.script.hang_at = None
    await bench.check(entity_of(await call))


async def test_media_killed_while_its_job_waited_takes_it_up_in_the_queue(bench: Bench) -> None:
    fake = bench.fake
    fake.script.hang_at = "KSampler"
    first = asyncio.create_task(bench.generate(2))
    await eventually(lambda: fake.worker.running is not None, 20, "the job before")
    async with asking(bench):
        await eventually(lambda: len(fake.worker.pending) == 1, 20, "the job that waits")
        await bench.service.kill()
    with pytest.raises(grpc.aio.AioRpcError):
        await first
    await bench.service.start()
    calls = [asyncio.create_task(bench.generate(output)) for output in (1, 2)]
    looks = len(fake.requests)
    await eventually(lambda: len(fake.requests) > looks + 6, 20, "the looks of the second")
    fake.script.hang_at = None
    made = [entity_of(await call) for call in calls]
    assert len({entity.digest.sha256 for entity in made}) == 2
    assert list(fake.executions.values()) == [1, 1]
    assert len(await bench.recorded()) == 2


async def test_media_killed_after_recording_answers_with_what_was_recorded(bench: Bench) -> None:
    call = asyncio.create_task(bench.generate())

    async def is_recorded() -> bool:
        return bool(await bench.recorded())

    await eventually(is_recorded, 20, "the entity")
    await bench.service.kill()
    await asyncio.gather(call, return_exceptions=True)
    sent = len(bench.fake.prompts)
    await bench.service.start()
    await bench.check(entity_of(await bench.generate()))
    assert len(bench.fake.prompts) == sent


async def test_media_killed_many_times_makes_the_picture_once(bench: Bench) -> None:
    fake = bench.fake
    fake.script.step_seconds = 1.2
    for pause_seconds in (0.1, 0.4, 0.8):
        call = asyncio.create_task(bench.generate())
        await asyncio.sleep(pause_seconds)
        await bench.service.kill()
        # One that had not been connected yet would wait for the next service.
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await bench.service.start()
    fake.script.step_seconds = 0.0
    await bench.check(entity_of(await bench.generate()))
