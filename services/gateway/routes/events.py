"""GET /api/pipeline/{run_id}/events: a run as it happens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from starlette.responses import StreamingResponse

from services.gateway.domain.preferences import parse_last_event_id
from services.gateway.events import event_stream
from services.gateway.headers import API_HEADERS
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of, run_id_in_path
from services.gateway.requests import NoQuery
from services.kit.errors import OutOfRange
from services.kit.ids import RunId

router = APIRouter(prefix="/api/pipeline/{run_id}", tags=["runs"])


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events; docs/http-api.md lists them.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The run is final and the client has seen all of it."},
        **problems(404, 416, 422, 429, 503),
    },
)
async def events(
    run_id: Annotated[RunId, Depends(run_id_in_path)],
    parts: Annotated[Parts, Depends(parts_of)],
    _: Annotated[NoQuery, Query()],
    last_event_id: Annotated[
        str | None, Header(description="id of the last event seen; the stream goes on after it")
    ] = None,
) -> Response:
    """Stream the facts of a run and the hints between them; ends after the final fact."""
    after_seq = parse_last_event_id(last_event_id)
    run = await parts.runs.get(run_id)
    if after_seq > run.last_event_seq:
        raise OutOfRange("NO_SUCH_EVENT", "the run has no such event", field="Last-Event-ID")
    if run.final and after_seq == run.last_event_seq:
        # Tells a browser's EventSource not to come back.
        return Response(None, 204, API_HEADERS)
    parts.fanout.check_room()
    return StreamingResponse(
        event_stream(parts.fanout, run_id, after_seq),
        # Buffering proxies made such streams look frozen.
        headers={**API_HEADERS, "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )
