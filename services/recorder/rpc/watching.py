"""Watching a run as it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.ids import RunId
from services.kit.interceptors import Context
from services.recorder.domain.turns import is_turn
from services.recorder.domain.views import RunView, view
from services.recorder.hints import check_hints, hint_for
from services.recorder.parse_claims import parse_epoch
from services.recorder.parse_values import MAX_INT64, parse_number
from services.recorder.recorder import Recorder
from services.recorder.translate import (
    event_message,
)
from services.recorder.words import AUDIENCES


class WatchingRpcs:
    """Parse, call one function, translate; see recorder.proto."""

    _recorder: Recorder

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        after_seq = parse_number(request.after_seq, "after_seq", most=MAX_INT64)
        audience = AUDIENCES.word(request.audience, "audience")
        seen: RunView | None = None
        # Closed at once when the client leaves, not when the garbage collector comes by.
        async with aclosing(self._recorder.watch(run_id, after_seq)) as updates:
            async for run, event, hint in updates:
                if seen is None or seen.whole is not run:
                    seen = view(run, audience)
                if request.turns_only and not is_turn(run, event):
                    continue
                if event is not None:
                    yield pb.WatchRunResponse(event=event_message(seen, event))
                elif isinstance(hint, run_pb2.Hint):
                    told = hint_for(hint, audience)
                    if told is not None:
                        yield pb.WatchRunResponse(hint=told)

    async def PublishHints(
        self, request: pb.PublishHintsRequest, context: Context
    ) -> pb.PublishHintsResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        hints = check_hints(request.hints)
        await self._recorder.publish_hints(run_id, hints, parse_epoch(request.epoch))
        return pb.PublishHintsResponse()
