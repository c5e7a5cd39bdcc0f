"""Nobody who reads ever sees half of anything, not even past the service."""

from __future__ import annotations

import asyncio
import hashlib

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.ids import RunId
from services.recorder.domain.run import Run
from services.recorder.store.codec import decode_run
from tests.integration.recorder.harness import World, entity

COMMITS = 60
READERS = 4


async def test_readers_of_the_folder_always_see_a_whole_state(disk: World) -> None:
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
        for number in range(COMMITS // 2):
            upload = f"{name}/uploads/w{writer}-{number}"
            await disk.record(upload, f"{writer} {number}".encode(), entity("interception"))

    readers = [asyncio.create_task(read()) for _ in range(READERS)]
    await asyncio.gather(write(1), write(2))
    done.set()
    assert min(await asyncio.gather(*readers)) > 0
    assert len(look().entities) == COMMITS


async def test_what_get_run_says_can_be_read_at_once(served: World) -> None:
    name = await served.create()
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            run = await served.get(name)
            assert run.progress.completed == len(run.entities) <= run.progress.expected
            if run.entities:
                last = run.entities[-1]
                data = await served.read(last.name)
                assert hashlib.sha256(data).hexdigest() == last.digest.sha256
            answer = await served.call("GetRun", pb.GetRunRequest(name=name, include_document=True))
            decode_run(answer.document, RunId.parse_name(name))

    readers = [asyncio.create_task(read()) for _ in range(READERS)]
    for number in range(COMMITS):
        await served.record(f"{name}/uploads/e{number}", b"x" * (number + 1), entity("input"))
    done.set()
    await asyncio.gather(*readers)
