"""What is recorded of a run, and how to stop it."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from services.gateway import present
from services.gateway.answers import CancelResponse, EntitiesResponse
from services.gateway.domain.ranges import etag, matches
from services.gateway.domain.run import client_status
from services.gateway.headers import API_HEADERS
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of, run_id_in_path
from services.gateway.requests import NoQuery
from services.kit.ids import RunId

router = APIRouter(prefix="/api/pipeline/{run_id}", tags=["runs"])

PartsHere = Annotated[Parts, Depends(parts_of)]
RunHere = Annotated[RunId, Depends(run_id_in_path)]
NoParameters = Annotated[NoQuery, Query()]


@router.head("/status", include_in_schema=False)
@router.get(
    "/status",
    response_class=Response,
    responses={
        200: {
            "description": "metadata.json of the run, byte for byte, or the caller's view of it.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        304: {"description": "As the client has it."},
        **problems(404, 422, 503),
    },
)
async def status(request: Request, run_id: RunHere, parts: PartsHere, _: NoParameters) -> Response:
    """Return the run's own document as it stands now, or what of it the caller may see."""
    document = await parts.recorder.get_document(run_id)
    tag = etag(hashlib.sha256(document).hexdigest())
    headers = {**API_HEADERS, "ETag": tag}
    if matches(request.headers.get("if-none-match"), tag):
        return Response(None, 304, headers)
    return Response(document, headers=headers, media_type="application/json")


@router.get("/entities", responses=problems(404, 422, 503))
async def entities(run_id: RunHere, parts: PartsHere, _: NoParameters) -> EntitiesResponse:
    """List everything recorded so far, with an address each."""
    return present.entities(await parts.runs.get(run_id), is_teacher=parts.teacher_decisions)


@router.post("/cancel", responses=problems(404, 422, 503, 504))
async def cancel(run_id: RunHere, parts: PartsHere, _: NoParameters) -> CancelResponse:
    """Stop a run; it answers once the run is final. A run that has ended stays as it is."""
    run = await parts.runs.cancel(run_id)
    return CancelResponse(run_id=str(run.id), status=client_status(run.state))
