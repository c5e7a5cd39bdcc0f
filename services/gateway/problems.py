"""Errors as problem details (RFC 9457): the one table from our errors to HTTP, and the answers.

A problem never repeats what the client sent: it names fields, reasons and limits.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.headers import API_HEADERS
from services.kit.errors import ArtlabError
from services.kit.log import facts

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# Where a person reads what a reason means; relative, so that it holds wherever we are served.
TYPE_PREFIX = "urn:artlab:problem:"

STATUS_OF_CODE: Mapping[str, int] = {
    "INVALID_ARGUMENT": 422,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "PERMISSION_DENIED": 403,
    "OUT_OF_RANGE": 416,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "CANCELLED": 503,
    "DATA_LOSS": 410,
    "INTERNAL": 500,
}
# What a client asked for in a field is that field's defect, whatever code the peer chose.
STATUS_OF_REASON: Mapping[str, int] = {
    "SAFETY_LEVEL_TOO_LAX": 422,
    "ENTITY_ERASED": 410,
    "MALFORMED_JSON": 400,
    "INVALID_UTF8": 400,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "UNSUPPORTED_CONTENT_ENCODING": 415,
    "REQUEST_TIMEOUT": 408,
    "INVALID_HOST": 400,
    "UNEXPECTED_BODY": 400,
    # Not the client's rate: it works again once somebody has made room.
    "STORAGE_FULL": 507,
}
_TITLES: Mapping[int, str] = {
    400: "Bad request",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Request took too long",
    409: "Not possible in this state",
    410: "The stored bytes are gone or damaged",
    413: "Too large",
    414: "Address too long",
    415: "Unsupported media type",
    416: "Nothing there",
    422: "A field is wrong",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    503: "Temporarily unavailable",
    504: "Took too long",
    507: "The disk is full",
}
# Fields of the peers' messages under the names that clients know.
_FIELD_NAMES: Mapping[str, str] = {
    "config_name": "schema",
    "request_id": "Idempotency-Key",
    "name": "run_id",
    "parent": "rerun.run_id",
    "rerun.parent": "rerun.run_id",
    "from_stage": "rerun.from_stage",
}
_DEFAULT_RETRY_SECONDS = 1.0
_TELLING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_REASON_OF_TYPE: Mapping[str, str] = {
    "missing": "MISSING_FIELD",
    "extra_forbidden": "UNKNOWN_FIELD",
    "literal_error": "INVALID_ENUM",
    "too_long": "TOO_MANY_VALUES",
    "string_pattern_mismatch": "INVALID_VALUE",
    "greater_than_equal": "OUT_OF_BOUNDS",
    "less_than_equal": "OUT_OF_BOUNDS",
}
_OWN_REASON = re.compile(r"[A-Z][A-Z0-9_]{2,62}", re.ASCII)


def problem(
    status: int,
    reason: str,
    detail: str,
    *,
    field: str | None = None,
    fields: Sequence[Mapping[str, str]] = (),
    retry_after_seconds: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return one problem as a response."""
    body: dict[str, object] = {
        "type": TYPE_PREFIX + reason.lower().replace("_", "-"),
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "reason": reason,
    }
    sent = {**API_HEADERS, **(headers or {})}
    if field is not None:
        body["field"] = field
    if fields:
        body["fields"] = list(fields)
    if retry_after_seconds is not None:
        body["retry_after"] = retry_after_seconds
        sent["Retry-After"] = str(max(1, math.ceil(retry_after_seconds)))
    return Response(orjson.dumps(body), status, sent, media_type=MEDIA_TYPE)


def problem_of(error: ArtlabError) -> Response:
    """Return the problem of an error of ours or of a peer."""
    status = STATUS_OF_REASON.get(error.reason) or STATUS_OF_CODE.get(error.code, 500)
    retry = error.retry_after_seconds
    if status in (429, 503) and retry is None:
        retry = _DEFAULT_RETRY_SECONDS
    headers = {}
    if status == 416 and "size_bytes" in error.metadata:
        headers["Content-Range"] = f"bytes */{error.metadata['size_bytes']}"
    field = error.field and _FIELD_NAMES.get(error.field, error.field)
    return problem(
        status,
        error.reason,
        "internal error" if status == 500 else error.message,
        field=field,
        retry_after_seconds=retry,
        headers=headers,
    )


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    app.add_exception_handler(ArtlabError, _on_artlab_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_defect)


async def _on_artlab_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ArtlabError)
    if error.code == "INTERNAL":
        log.error("internal error", exc_info=error, extra=facts(reason=error.reason))
    return problem_of(error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [_field_problem(found) for found in error.errors()][:20]
    if not fields:
        return problem(422, "INVALID_VALUE", "the request is not valid")
    first = fields[0]
    return problem(
        422,
        first["reason"],
        f"{first['field']}: {first['detail']}" if first["field"] else first["detail"],
        field=first["field"],
        fields=fields,
    )


def _field_problem(found: Mapping[str, Any]) -> dict[str, str]:
    kind = str(found["type"])
    where = [part for part in found["loc"] if part not in ("body", "query", "header", "path")]
    reason = kind if _OWN_REASON.fullmatch(kind) else _REASON_OF_TYPE.get(kind, "INVALID_VALUE")
    if kind == "MISSING_FIELD" and where == ["config"]:
        # What is not there at all goes by our own name for it.
        where = ["schema"]
    if kind.endswith("_type"):
        reason = "INVALID_TYPE"
    return {"field": _path(where), "reason": reason, "detail": _DETAILS.get(kind, found["msg"])}


_DETAILS = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_pattern_mismatch": "does not have the form that is asked for",
}


def _path(where: Sequence[object]) -> str:
    # The name of an unknown field is the client's own text: only a plain one is repeated.
    path = ""
    for part in where:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            name = str(part) if _TELLING_NAME.fullmatch(str(part)) else "(unnamed)"
            path += f".{name}" if path else name
    return path


_HTTP_REASONS = {404: "ROUTE_NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 400: "MALFORMED_BODY"}


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = _HTTP_REASONS.get(error.status_code, f"HTTP_{error.status_code}")
    detail = _TITLES.get(error.status_code, "Error").lower()
    return problem(error.status_code, reason, detail, headers=error.headers)


async def _on_defect(request: Request, error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return problem(500, "INTERNAL", "internal error")
