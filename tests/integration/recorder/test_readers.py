"""Nobody who reads ever sees half of anything, not even past the service."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.ids import RunId
from services.recorder.domain.run import Run
from services.recorder.store.codec import decode_run
from tests.integration.recorder.harness import World, entity

READERS = 8
WRITERS = 2
# Of each writer to one run. Many runs and not one long one: what grows is the work of the readers.
COMMITS = 50
RUNS = [1, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(600)])]


@pytest.mark.parametrize("runs", RUNS)
async def test_readers_of_the_folder_always_see_a_whole_state(disk: World, runs: int) -> None:
    for _ in range(runs):
        await read_the_folder_while_it_is_written(disk)


async def read_the_folder_while_it_is_written(disk: World) -> None:
    name = await disk.create()
    folder, run_id = disk.folder(name), RunId.parse_name(name)
    done = asyncio.Event()

    def look() -> Run:
        run = decode_run((folder / "metadata.json").read_bytes(), run_id)
        for one in run.entities[-2:]:
            data = (folder / one.filename).read_bytes()
            assert hashlib.sha256(data).hexdigest() == one.sha256
        return run

    async def read() -> int:
        seen, looks = 0, 0
        while not done.is_set():
            run = await asyncio.to_thread(look)
            assert len(run.entities) >= seen, "it never goes back"
            seen, looks = len(run.entities), looks + 1
        return looks

    async def write(writer: int) -> None:
        for number in range(COMMITS):
            upload = f"{name}/uploads/w{writer}-{number}"
            await disk.record(upload, f"{writer} {number}".encode(), entity("interception"))

    readers = [asyncio.create_task(read()) for _ in range(READERS)]
    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    done.set()
    assert min(await asyncio.gather(*readers)) > 0
    assert len(look().entities) == WRITERS * COMMITS


@pytest.mark.parametrize("runs", RUNS)
async def test_what_get_run_says_can_be_read_at_once(served: World, runs: int) -> None:
    for _ in range(runs):
        await read_the_run_while_it_is_written(served)


async def read_the_run_while_it_is_written(served: World) -> None:
    name = await served.create()
    done = asyncio.Event()

    async def read() -> int:
        looks = 0
        while not done.is_set():
            run, looks = await served.get(name), looks + 1
            assert run.progress.completed == len(run.entities) <= run.progress.expected
            if run.entities:
                last = run.entities[-1]
                data = await served.read(last.name)
                assert hashlib.sha256(data).hexdigest() == last.digest.sha256
            answer = await served.call(
                "GetRun",
                pb.GetRunRequest(
                    name=name, include_document=True, audience=run_pb2.AUDIENCE_RESEARCH
                ),
            )
            decode_run(answer.document, RunId.parse_name(name))

        return looks

    async def write(writer: int) -> None:
        for number in range(COMMITS):
            upload = f"{name}/uploads/w{writer}-{number}"
            await served.record(upload, b"x" * (number + 1), entity("input"))

    readers = [asyncio.create_task(read()) for _ in range(READERS)]
    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    done.set()
    assert min(await asyncio.gather(*readers)) > 0
    assert len((await served.get(name)).entities) == WRITERS * COMMITS
