"""PUT /api/runs/{run_id}/input_images/{index}: a picture for a run that waits for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from services.gateway import present
from services.gateway.answers import InputImageResponse
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of, run_id_in_path
from services.gateway.requests import MAX_INPUT_IMAGES, NoQuery
from services.kit.errors import NotFound
from services.kit.ids import RunId

router = APIRouter(tags=["runs"])

_INDICES = {str(index): index for index in range(1, MAX_INPUT_IMAGES + 1)}
_BODY = {
    "required": True,
    "description": "the bytes of one picture, at most 32 MiB; what they are is seen from them",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.put(
    "/api/runs/{run_id}/input_images/{index}",
    responses=problems(404, 408, 409, 413, 415, 422, 429, 503, 504, 507),
    openapi_extra={"requestBody": _BODY},
)
async def put_input_image(
    request: Request,
    run_id: Annotated[RunId, Depends(run_id_in_path)],
    index: str,
    parts: Annotated[Parts, Depends(parts_of)],
    _: Annotated[NoQuery, Query()],
) -> InputImageResponse:
    """Give a run one of the pictures it waits for, from 1; the same bytes again change nothing.

    The run begins its stages when it has all of them. A picture that a check refuses ends it:
    `status` is `blocked` then, and `block` says why.
    """
    number = _INDICES.get(index)
    if number is None:
        raise NotFound("ROUTE_NOT_FOUND", f"pictures are 1 to {MAX_INPUT_IMAGES}")
    return present.brought(
        number, await parts.runs.add_input_image(run_id, number, request.stream())
    )
