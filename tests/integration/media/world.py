"""The media service beside a real recorder, each behind its own port."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration

from artlab.common.v1 import common_pb2
from artlab.media.v1 import media_pb2, media_pb2_grpc
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.channel import is_serving, open_channel, open_sync_channel
from services.kit.clock import SystemClock
from services.media.backend_list import BackendList
from services.media.decoding.decoder import Decoder
from services.media.domain.output_config import OutputConfig, Slot
from services.media.inspection import Inspector
from services.media.jobs import Jobs
from services.media.pictures import Pictures
from services.media.ports import Backend
from services.media.recording import Recording
from services.media.servicer import CAPS, MediaServicer
from services.recorder.index.sqlite import SqliteIndex
from services.recorder.recorder import Recorder
from services.recorder.servicer import CAPS as RECORDER_CAPS
from services.recorder.servicer import register
from services.recorder.store.disk import DiskStore
from services.recorder.store.layout import index_file
from services.recorder.upload import UploadLimits
from tests.fakes.media_backend import ScriptedBackend
from tests.support.eventually import eventually
from tests.support.servers import serving

CALL_SECONDS = 30.0
LIMITS = UploadLimits(max_entity_bytes=512 * 1024 * 1024, uploads_per_run=16, ttl_seconds=3600)


def image_config(name: str = "picture", **changes: Any) -> OutputConfig:
    """A config of the scripted (or the built-in) backend."""
    slots = {
        "width": Slot("width", "integer", 128, 64, 2048),
        "height": Slot("height", "integer", 128, 64, 2048),
        "style": Slot("style", "choice", "calm", choices=("calm", "wild")),
        "note": Slot("note", "text", ""),
    }
    values: dict[str, Any] = {
        "name": name,
        "kind": "image",
        "backend": "builtin",
        "title": {"en": "Picture", "de": "Bild"},
        "slots": slots,
        "deadline_seconds": 20.0,
    }
    return OutputConfig(**(values | changes))


@dataclass
class World:
    """Both services, and short ways to ask them."""

    media: media_pb2_grpc.MediaServiceAsyncStub
    recorder: recorder_pb2_grpc.RecorderServiceAsyncStub
    jobs: Jobs
    backend: ScriptedBackend
    # To the media service, which listens at `target`.
    channel: grpc.aio.Channel
    target: str

    async def run(self) -> str:
        """Create a run with three planned pictures; its name."""
        return await create_run(self.recorder)

    async def upload(self) -> str:
        """An upload name of a fresh run."""
        return f"{await self.run()}/uploads/output-1"

    def generate(
        self, upload: str, **changes: Any
    ) -> grpc.aio.UnaryStreamCall[media_pb2.GenerateMediaRequest, media_pb2.GenerateMediaResponse]:
        """Ask for a picture."""
        return self.media.GenerateMedia(request(upload, **changes), timeout=CALL_SECONDS)

    async def made(self, upload: str, **changes: Any) -> run_pb2.Entity:
        """Ask for a picture and wait for it."""
        return entity_of([answer async for answer in self.generate(upload, **changes)])

    async def claim(self, upload: str) -> int:
        """Have a new driver take the run of an upload, whoever has it; its epoch."""
        asked = recorder_pb2.ClaimRunRequest(
            name=upload.split("/uploads/")[0],
            claim=recorder_pb2.Claim(owner=f"driver-{uuid.uuid4()}", ttl=Duration(seconds=30)),
            force=True,
        )
        answer = await self.recorder.ClaimRun(asked, timeout=CALL_SECONDS)
        assert answer.claimed
        return answer.epoch

    async def cancel(self, upload: str) -> bool:
        """Cancel; whether that stopped something."""
        asked = media_pb2.CancelMediaRequest(upload=upload)
        return (await self.media.CancelMedia(asked, timeout=CALL_SECONDS)).cancelled

    async def bytes_of(self, entity: run_pb2.Entity) -> bytes:
        """What the recorder has."""
        asked = recorder_pb2.ReadEntityRequest(name=entity.name, audience=run_pb2.AUDIENCE_RESEARCH)
        return b"".join(
            [chunk.data async for chunk in self.recorder.ReadEntity(asked, timeout=CALL_SECONDS)]
        )


def request(upload: str, **changes: Any) -> media_pb2.GenerateMediaRequest:
    """A valid request."""
    values: dict[str, Any] = {
        "upload": upload,
        "output_config": "picture",
        "prompt": "Eine Blume auf der Wiese",
        "output_index": 1,
        "seed": 42,
        "recipe": "dada",
    }
    return media_pb2.GenerateMediaRequest(**(values | changes))


async def rest_of(
    call: grpc.aio.UnaryStreamCall[media_pb2.GenerateMediaRequest, media_pb2.GenerateMediaResponse],
) -> list[media_pb2.GenerateMediaResponse]:
    """Every answer from here to the end of the call."""
    return [answer async for answer in call]


def entity_of(answers: Sequence[media_pb2.GenerateMediaResponse]) -> run_pb2.Entity:
    """The entity of the last message; all others are progress."""
    assert all(answer.HasField("progress") for answer in answers[:-1])
    (entity,) = answers[-1].result.entities
    return entity


async def create_run(recorder: recorder_pb2_grpc.RecorderServiceAsyncStub) -> str:
    """Create a run with three planned pictures; its name."""
    plan = run_pb2.Run(
        config_name="dada",
        safety_level=common_pb2.SAFETY_LEVEL_YOUTH,
        user_id="pseudonym-1",
        outputs=[
            run_pb2.Output(
                index=index,
                occurrence=index,
                output_config="picture",
                kind=common_pb2.MEDIA_KIND_IMAGE,
            )
            for index in (1, 2, 3)
        ],
        expected_entities=["input", "output_image", "output_image", "output_image"],
        execution_mode=common_pb2.EXECUTION_MODE_ECO,
        seed=7,
    )
    asked = recorder_pb2.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan)
    return (await recorder.CreateRun(asked, timeout=CALL_SECONDS)).run.name


@asynccontextmanager
async def recorder_at(root: Path) -> AsyncIterator[str]:
    """A recorder in this process; yields its target."""
    recorder = Recorder(
        DiskStore(root), SqliteIndex(index_file(root)), SystemClock(), LIMITS, 600.0
    )
    await recorder.open()
    try:
        async with serving(
            "recorder", lambda s: register(recorder, s), caps=RECORDER_CAPS
        ) as target:
            yield target
    finally:
        await recorder.close()


@asynccontextmanager
async def media_beside(
    target: str,
    *,
    configs: Mapping[str, OutputConfig] | None = None,
    backend: Backend | None = None,
    more: Sequence[Backend] = (),
    max_jobs: int = 4,
    grace_seconds: float = 10.0,
    max_media_bytes: int = 256 * 1024 * 1024,
) -> AsyncIterator[World]:
    """The media service's own parts with a scripted backend, behind gRPC, beside a recorder."""
    scripted = ScriptedBackend()
    configs = configs or {"picture": image_config()}
    async with open_channel(target) as channel:
        with open_sync_channel(target) as stream_channel:
            decoder = Decoder(1, waiting=max_jobs)
            recording = Recording(
                channel,
                stream_channel,
                max_media_bytes=max_media_bytes,
                max_streams=max_jobs,
                inspector=Inspector(decoder, None),
            )
            used = backend or scripted
            named = any(config.backend == used.name for config in configs.values())
            backends: dict[str, Backend] = {used.name if named else "builtin": used}
            backends |= {one.name: one for one in more}
            jobs = Jobs(
                configs,
                backends,
                recording,
                SystemClock(),
                max_jobs=max_jobs,
                grace_seconds=grace_seconds,
            )
            servicer = MediaServicer(
                jobs,
                {("image", "eco"): ("picture",)},
                BackendList(backends, configs),
                Pictures(decoder, None),
            )
            try:
                async with (
                    decoder,
                    serving(
                        "media",
                        lambda s: media_pb2_grpc.add_MediaServiceServicer_to_server(servicer, s),
                        caps=CAPS,
                    ) as own,
                    open_channel(own) as to_media,
                ):
                    yield World(
                        media_pb2_grpc.MediaServiceStub(to_media),
                        recorder_pb2_grpc.RecorderServiceStub(channel),
                        jobs,
                        scripted,
                        to_media,
                        own,
                    )
                    await jobs.close()
            finally:
                recording.close()


class Service:
    """One service as a process of its own, that can be killed and started again."""

    def __init__(self, name: str, port: int, environ: Mapping[str, str]) -> None:
        self.name, self.port = name, port
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
        self._environ |= {f"ARTLAB_{name.upper()}_{key}": value for key, value in environ.items()}
        self._environ |= {f"ARTLAB_{name.upper()}_PORT": str(port)}
        self.process: asyncio.subprocess.Process | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"services.{self.name}", env=self._environ
        )

        async def answers() -> bool:
            return await is_serving(self.target)

        await eventually(answers, 20.0, f"{self.name} answers")

    async def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.kill(signal.SIGTERM)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
