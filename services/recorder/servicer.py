"""The recorder's RPCs, put together."""

from __future__ import annotations

from collections.abc import Mapping

import grpc.aio

from artlab.recorder.v1 import recorder_pb2_grpc
from services.recorder.recorder import Recorder
from services.recorder.rpc.archive import ArchiveRpcs
from services.recorder.rpc.claims import ClaimsRpcs
from services.recorder.rpc.entities import EntitiesRpcs
from services.recorder.rpc.library import LibraryRpcs
from services.recorder.rpc.runs import RunsRpcs
from services.recorder.rpc.store import StoreRpcs
from services.recorder.rpc.watching import WatchingRpcs

CAPS: Mapping[str, float] = {
    "WatchRun": 3600.0,
    "WriteEntity": 3600.0,
    "ReadEntity": 3600.0,
    "ExportRuns": 6 * 3600.0,
    "ImportRuns": 6 * 3600.0,
}


class RecorderServicer(
    RunsRpcs,
    EntitiesRpcs,
    WatchingRpcs,
    LibraryRpcs,
    ArchiveRpcs,
    StoreRpcs,
    ClaimsRpcs,
    recorder_pb2_grpc.RecorderServiceServicer,
):
    """See recorder.proto; one class a subject in `rpc/`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder


def register(recorder: Recorder, server: grpc.aio.Server) -> None:
    """Add the recorder's RPCs to a server."""
    recorder_pb2_grpc.add_RecorderServiceServicer_to_server(RecorderServicer(recorder), server)
