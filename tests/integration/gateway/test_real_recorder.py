"""The gateway in front of the real recorder: files in, HTTP out, and a restart between."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.channel import open_channel
from services.kit.clock import SystemClock
from services.kit.server import GrpcServer
from services.kit.settings import load_settings
from services.recorder.index.sqlite import SqliteIndex
from services.recorder.recorder import Recorder
from services.recorder.servicer import CAPS, register
from services.recorder.settings import RecorderSettings
from services.recorder.store.disk import DiskStore
from services.recorder.store.layout import index_file
from services.recorder.upload import UploadLimits
from tests.integration.gateway.test_events import Reader
from tests.integration.gateway.world import RUN, gateway
from tests.support.eventually import eventually
from tests.support.pictures import picture_of

NAME = f"runs/{RUN}"
PICTURE = picture_of(os.urandom(900_000))
STUDENT = run_pb2.AUDIENCE_STUDENT


class Served:
    """A real recorder on a port of its own, that can go and come back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = 0
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        settings = load_settings("recorder", RecorderSettings, {})
        recorder = Recorder(
            DiskStore(self.root),
            SqliteIndex(index_file(self.root)),
            SystemClock(),
            UploadLimits(
                max_entity_bytes=settings.max_entity_bytes,
                uploads_per_run=settings.uploads_per_run,
                ttl_seconds=settings.upload_ttl_seconds,
            ),
            settings.run_limit_seconds,
        )
        await recorder.open()
        server = GrpcServer("recorder", caps=CAPS)
        register(recorder, server.grpc)
        self.port = await server.start(f"127.0.0.1:{self.port}")
        self._stack.push_async_callback(recorder.close)
        self._stack.push_async_callback(server.stop, 0.2)
        self._stack.push_async_callback(recorder.drain)

    async def stop(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def real(tmp_path: Path) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    served = Served(tmp_path / "runs")
    await served.start()
    try:
        async with gateway(recorder_target=f"127.0.0.1:{served.port}") as world:
            yield served, world.client
    finally:
        await served.stop()


async def make_run(stub: recorder_pb2_grpc.RecorderServiceAsyncStub) -> None:
    run = run_pb2.Run(
        config_name="dada",
        safety_level=common_pb2.SAFETY_LEVEL_YOUTH,
        user_id="anonymous",
        execution_mode=common_pb2.EXECUTION_MODE_ECO,
        seed=7,
        outputs=[
            run_pb2.Output(
                index=1,
                occurrence=1,
                output_config="builtin_image",
                kind=common_pb2.MEDIA_KIND_IMAGE,
            )
        ],
        expected_entities=["input", "interception", "output_image"],
    )
    await stub.CreateRun(recorder_pb2.CreateRunRequest(request_id=RUN, run=run), timeout=10)
    await record(stub, "input", b"Eine Blume", 0)


async def record(
    stub: recorder_pb2_grpc.RecorderServiceAsyncStub, kind: str, data: bytes, stage: int
) -> None:
    entity = run_pb2.Entity(type=kind, stage=stage, audience=STUDENT)
    request = recorder_pb2.RecordEntityRequest(
        upload=f"{NAME}/uploads/{kind}", entity=entity, data=data
    )
    await stub.RecordEntity(request, timeout=10)


async def upload_picture(stub: recorder_pb2_grpc.RecorderServiceAsyncStub) -> None:
    async def chunks() -> AsyncIterator[recorder_pb2.WriteEntityRequest]:
        entity = run_pb2.Entity(type="output_image", stage=4, output_index=1, audience=STUDENT)
        for offset in range(0, len(PICTURE), 262_144):
            yield recorder_pb2.WriteEntityRequest(
                upload=f"{NAME}/uploads/picture",
                offset=offset,
                entity=entity if offset == 0 else None,
                data=PICTURE[offset : offset + 262_144],
            )
        digest = common_pb2.Digest(
            sha256=hashlib.sha256(PICTURE).hexdigest(), size_bytes=len(PICTURE)
        )
        yield recorder_pb2.WriteEntityRequest(offset=len(PICTURE), finish=True, digest=digest)

    await stub.WriteEntity(chunks(), timeout=20)


async def finish(stub: recorder_pb2_grpc.RecorderServiceAsyncStub) -> None:
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
    await stub.FinalizeOutput(
        recorder_pb2.FinalizeOutputRequest(name=NAME, output=output), timeout=10
    )
    request = recorder_pb2.FinalizeRunRequest(name=NAME, state=run_pb2.RUN_STATE_SUCCEEDED)
    await stub.FinalizeRun(request, timeout=10)


async def test_what_is_on_disk_is_what_is_served(tmp_path: Path) -> None:
    async with real(tmp_path) as (served, client), open_channel(f"127.0.0.1:{served.port}") as c:
        stub = recorder_pb2_grpc.RecorderServiceStub(c)
        await make_run(stub)
        await upload_picture(stub)
        folder = served.root / RUN
        base = f"/api/pipeline/{RUN}"
        withheld = await client.get(f"{base}/entity/output_image")
        assert withheld.json()["reason"] == "ENTITY_WITHHELD"
        await finish(stub)
        status = await client.get(f"{base}/status")
        assert status.content == (folder / "metadata.json").read_bytes()
        listed = (await client.get(f"{base}/entities")).json()["entities"]
        assert [e["filename"] for e in listed] == ["01_input.txt", "02_output_image.png"]
        for entity in listed:
            response = await client.get(entity["url"])
            assert response.status_code == 200
            assert response.content == (folder / entity["filename"]).read_bytes()
            assert response.headers["etag"] == f'"{entity["sha256"]}"'
        part = await client.get(listed[1]["url"], headers={"Range": "bytes=300000-599999"})
        assert part.status_code == 206
        assert part.content == PICTURE[300_000:600_000]


async def test_bytes_damaged_on_disk_are_never_served_as_if_they_were_whole(
    tmp_path: Path,
) -> None:
    async with real(tmp_path) as (served, client), open_channel(f"127.0.0.1:{served.port}") as c:
        stub = recorder_pb2_grpc.RecorderServiceStub(c)
        await make_run(stub)
        await upload_picture(stub)
        await finish(stub)
        for filename in ("01_input.txt", "02_output_image.png"):
            path = served.root / RUN / filename
            path.chmod(0o600)
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
        small = await client.get(f"/api/pipeline/{RUN}/entities/1")
        assert small.status_code == 410
        assert small.json()["reason"] == "ENTITY_CORRUPT"
        try:
            large = await client.get(f"/api/pipeline/{RUN}/entities/2")
        except (httpx.RemoteProtocolError, httpx.ReadError):
            return  # cut midway
        assert large.status_code == 410


async def test_events_go_on_over_a_restart_of_the_recorder(tmp_path: Path) -> None:
    async with real(tmp_path) as (served, client):
        target = f"127.0.0.1:{served.port}"
        async with open_channel(target) as channel:
            await make_run(recorder_pb2_grpc.RecorderServiceStub(channel))
        async with client.stream("GET", f"/api/pipeline/{RUN}/events") as response:
            reader = Reader(response)
            first = await reader.next()
            assert first is not None
            await served.stop()
            await served.start()
            async with open_channel(target) as channel:
                stub = recorder_pb2_grpc.RecorderServiceStub(channel)
                await record(stub, "interception", b"Bl ume", 2)
                await upload_picture(stub)
                await finish(stub)
            seen = [first, *await reader.rest()]
    numbers = [int(event.id) for event in seen if event.id is not None]
    assert numbers == list(range(1, len(numbers) + 1))
    assert seen[-1].data["state"] == "succeeded"


@pytest.mark.parametrize("run_id", ["00000000-0000-4000-8000-000000000000"])
async def test_a_run_nobody_made_is_404(tmp_path: Path, run_id: str) -> None:
    async with real(tmp_path) as (_, client):
        for part in ("status", "entities", "events", "entity/input", "entities/1"):
            response = await client.get(f"/api/pipeline/{run_id}/{part}")
            assert response.status_code == 404
            assert response.json()["reason"] == "RUN_NOT_FOUND"


async def test_a_recorder_that_is_away_is_503_with_a_time(tmp_path: Path) -> None:
    async with real(tmp_path) as (served, client):
        await served.stop()
        response = await client.get(f"/api/pipeline/{RUN}/status")
        assert response.status_code == 503
        assert response.headers["retry-after"]
        await served.start()

        async def back() -> bool:
            again = await client.get(f"/api/pipeline/{RUN}/status")
            return again.status_code == 404

        await eventually(back)
