"""The bytes of entities: streamed, in parts, on condition; never a short body that looks whole."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from services.gateway.domain import selection
from services.gateway.domain.ranges import etag, matches, parse_range
from services.gateway.domain.run import Entity
from services.gateway.headers import ENTITY_HEADERS, content_disposition
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of, run_id_in_path
from services.gateway.requests import EntityQuery, NoQuery
from services.gateway.streaming import ExactStream
from services.gateway.urls import entity_url
from services.kit.errors import InvalidArgument, NotFound
from services.kit.ids import EntityName, RunId, parse_sequence

router = APIRouter(prefix="/api/pipeline/{run_id}", tags=["entities"])

PartsHere = Annotated[Parts, Depends(parts_of)]
RunHere = Annotated[RunId, Depends(run_id_in_path)]

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}", re.ASCII)
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": {"*/*": {}}},
    206: {"description": "One range of the bytes.", "content": {"*/*": {}}},
    304: {"description": "As the client has them."},
    **problems(403, 404, 410, 416, 422, 503),
}


@router.head("/entity/{type}", include_in_schema=False)
@router.get("/entity/{type}", response_class=Response, responses=_RESPONSES)
async def entity_of_type(
    request: Request,
    run_id: RunHere,
    type: str,
    parts: PartsHere,
    query: Annotated[EntityQuery, Query()],
) -> Response:
    """Return the latest entity of a type; Content-Location says which one that is."""
    run = await parts.runs.get(run_id)
    output = int(query.output) if query.output else None
    pass_number = int(query.pass_number) if query.pass_number else None
    entity = selection.latest(run, type, output, pass_number, is_teacher=parts.teacher_decisions)
    return await _serve(request, parts, run_id, entity)


@router.head("/entities/{sequence}", include_in_schema=False)
@router.get("/entities/{sequence}", response_class=Response, responses=_RESPONSES)
async def entity_by_sequence(
    request: Request,
    run_id: RunHere,
    sequence: str,
    parts: PartsHere,
    _: Annotated[NoQuery, Query()],
) -> Response:
    """Return one entity."""
    try:
        number = parse_sequence(sequence)
    except InvalidArgument:
        raise NotFound("ENTITY_NOT_FOUND", "there is no such entity", field="sequence") from None
    run = await parts.runs.get(run_id)
    if not any(entity.sequence == number for entity in run.entities):
        # Perhaps it is there, and not for us.
        await parts.recorder.check_shown(EntityName(run_id, number))
    entity = selection.by_sequence(run, number, is_teacher=parts.teacher_decisions)
    return await _serve(request, parts, run_id, entity)


async def _serve(request: Request, parts: Parts, run_id: RunId, entity: Entity) -> Response:
    tag, size = etag(entity.sha256), entity.size_bytes
    headers = {
        **ENTITY_HEADERS,
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Location": entity_url(run_id, entity.sequence),
    }
    if matches(request.headers.get("if-none-match"), tag):
        return Response(None, 304, headers)
    asked = request.headers.get("range") if request.method == "GET" else None
    span = parse_range(asked, request.headers.get("if-range"), tag, size)
    offset, length = (span.first, span.length) if span else (0, size)
    headers["Content-Disposition"] = content_disposition(entity.filename)
    headers["Content-Type"] = _content_type(entity.media_type)
    headers["Content-Length"] = str(length)
    if span:
        headers["Content-Range"] = span.content_range(size)
    status = 206 if span else 200
    if request.method == "HEAD":
        return Response(None, status, headers)
    chunks = parts.recorder.read_entity(EntityName(run_id, entity.sequence), offset, length)
    return await ExactStream.begin(chunks, status, headers)


def _content_type(media_type: str) -> str:
    if _MEDIA_TYPE.fullmatch(media_type) is None:
        return "application/octet-stream"
    # Our texts are UTF-8; a browser would guess otherwise.
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type
