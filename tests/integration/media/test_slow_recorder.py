"""A recorder that answers too late for a moment, as with a disk that stalls."""

from __future__ import annotations

from pathlib import Path

from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from services.kit.clock import SystemClock
from services.kit.errors import ArtlabError, DeadlineExceeded, Unavailable
from services.kit.interceptors import Context
from services.recorder.index.sqlite import SqliteIndex
from services.recorder.recorder import Recorder
from services.recorder.servicer import CAPS, RecorderServicer
from services.recorder.store.disk import DiskStore
from services.recorder.store.layout import index_file
from tests.integration.media.world import LIMITS, media_beside, sha256
from tests.support.servers import serving


class Slow(RecorderServicer):
    """Fails the first looks at an upload."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.failures: list[ArtlabError] = [
            DeadlineExceeded("DEADLINE", "GetUpload took too long"),
            Unavailable("DRAINING", "the server stops"),
        ]

    async def GetUpload(
        self, request: recorder_pb2.GetUploadRequest, context: Context
    ) -> recorder_pb2.GetUploadResponse:
        """Fail, or answer."""
        if self.failures:
            raise self.failures.pop(0)
        return await super().GetUpload(request, context)


async def test_a_recorder_that_is_slow_for_a_moment_costs_no_output(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    recorder = Recorder(
        DiskStore(root), SqliteIndex(index_file(root)), SystemClock(), LIMITS, 600.0
    )
    await recorder.open()
    slow = Slow(recorder)
    async with (
        serving(
            "recorder",
            lambda s: recorder_pb2_grpc.add_RecorderServiceServicer_to_server(slow, s),
            caps=CAPS,
        ) as target,
        media_beside(target) as world,
    ):
        world.backend.go.set()
        entity = await world.made(await world.upload())
        assert entity.digest.sha256 == sha256(world.backend.data)
        assert slow.failures == []
    await recorder.close()
