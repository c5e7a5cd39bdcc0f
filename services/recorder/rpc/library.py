"""All runs together."""

from __future__ import annotations

from dataclasses import replace

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.errors import InvalidArgument
from services.kit.ids import parse_pseudonym
from services.kit.interceptors import Context
from services.recorder.domain.filter import Filter
from services.recorder.parse_filter import parse_filter
from services.recorder.parse_values import parse_number, parse_sha256
from services.recorder.recorder import Recorder
from services.recorder.translate import entity_message, listed_message, stats_message
from services.recorder.words import AUDIENCES

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


class LibraryRpcs:
    """Parse, call one function, translate; see recorder.proto."""

    _recorder: Recorder

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        """See recorder.proto."""
        size = parse_number(request.page_size, "page_size", most=2**31 - 1) or DEFAULT_PAGE_SIZE
        user_id = parse_pseudonym(request.user_id) if request.user_id else ""
        audience = AUDIENCES.word(request.audience, "audience")
        wanted = _of_user(parse_filter(request.filter), user_id)
        page = await self._recorder.list_runs(
            wanted, audience, request.page_token, min(size, MAX_PAGE_SIZE)
        )
        return pb.ListRunsResponse(
            runs=[
                listed_message(one.summary, audience, is_favourite=one.is_favourite)
                for one in page.runs
            ],
            next_page_token=page.next_token,
        )

    async def GetRunStats(
        self, request: pb.GetRunStatsRequest, context: Context
    ) -> pb.GetRunStatsResponse:
        """See recorder.proto."""
        audience = AUDIENCES.word(request.audience, "audience")
        wanted = parse_filter(request.filter)
        return stats_message(await self._recorder.run_stats(wanted, audience))

    async def FindRender(
        self, request: pb.FindRenderRequest, context: Context
    ) -> pb.FindRenderResponse:
        """See recorder.proto."""
        user_id = parse_pseudonym(request.user_id)
        digest = parse_sha256(request.render_digest, "render_digest")
        run_id, entities = await self._recorder.find_render(user_id, digest)
        return pb.FindRenderResponse(entities=[entity_message(run_id, one) for one in entities])


def _of_user(wanted: Filter, user_id: str) -> Filter:
    if user_id and wanted.user_id not in ("", user_id):
        raise InvalidArgument("USER_ID_DIFFERS", "not the same as user_id", field="filter.user_id")
    return replace(wanted, user_id=wanted.user_id or user_id)
