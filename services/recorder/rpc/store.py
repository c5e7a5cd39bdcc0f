"""The store as a whole, and what is kept beside the record."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.ids import RunId
from services.kit.interceptors import Context
from services.recorder.recorder import Recorder


class StoreRpcs:
    """Parse, call one function, translate; see recorder.proto."""

    _recorder: Recorder

    async def SetFavourite(
        self, request: pb.SetFavouriteRequest, context: Context
    ) -> pb.SetFavouriteResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        wanted = await self._recorder.care.favourites.set(run_id, request.favourite)
        return pb.SetFavouriteResponse(favourite=wanted)

    async def GetStoreStatus(
        self, request: pb.GetStoreStatusRequest, context: Context
    ) -> pb.GetStoreStatusResponse:
        """See recorder.proto."""
        status = await self._recorder.care.status()
        return pb.GetStoreStatusResponse(
            runs=status.runs,
            open_runs=status.open_runs,
            free_bytes=status.room.free_bytes,
            total_bytes=status.room.total_bytes,
            is_full=status.room.is_full,
            damages=[
                pb.Damage(name=one.run_id.name, message=one.message, time=_time(one.found_at))
                for one in status.scrub.damages.newest_first()
            ],
            scrub_start_time=_time(status.scrub.started_at),
            scrubbed_runs=status.scrub.runs,
            scrub_finish_time=_time(status.scrub.finished_at),
        )


def _time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
