"""All runs together."""

from __future__ import annotations

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.ids import parse_pseudonym
from services.kit.interceptors import Context
from services.recorder.domain.views import view
from services.recorder.domain.vocabulary import Audience
from services.recorder.parse import (
    parse_number,
)
from services.recorder.recorder import Recorder
from services.recorder.translate import (
    run_message,
)

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


class LibraryRpcs:
    """Parse, call one function, translate; see recorder.proto."""

    _recorder: Recorder

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        """See recorder.proto."""
        size = parse_number(request.page_size, "page_size", most=2**31 - 1) or DEFAULT_PAGE_SIZE
        user_id = parse_pseudonym(request.user_id) if request.user_id else ""
        runs, token = await self._recorder.list_runs(
            min(size, MAX_PAGE_SIZE), request.page_token, user_id
        )
        return pb.ListRunsResponse(
            runs=[run_message(view(run, Audience.RESEARCH), with_entities=False) for run in runs],
            next_page_token=token,
        )
