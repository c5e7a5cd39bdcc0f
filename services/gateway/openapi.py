"""Pieces of the OpenAPI document that several routes need."""

from __future__ import annotations

from typing import Any

from services.gateway.answers import Problem

_DESCRIPTIONS = {
    400: "Not a request we can read.",
    403: "It is there, but not for whom this server serves.",
    404: "No such run, entity, recipe or output config.",
    408: "The body did not come in time.",
    409: "The key was used for another request, or it is not possible in this state.",
    410: "The stored bytes were erased, or are not those that were recorded.",
    413: "The body is too large.",
    415: "Not application/json, or encoded.",
    416: "Nothing is there.",
    422: "A field is wrong; it is named.",
    429: "A limit is reached; see Retry-After.",
    503: "A service is away; see Retry-After.",
    504: "A service took too long.",
    507: "The disk is full; it works again once there is room.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problem answers of a route, for `responses`."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _DESCRIPTIONS[status],
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


def with_problem_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Add the schema that `problems` refers to, and drop FastAPI's own error format."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document
