"""POST /api/schema/pipeline/execute: start a run, and wait for it if asked to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from services.gateway import present
from services.gateway.domain.preferences import parse_prefer, run_id_for
from services.gateway.domain.run import RunStart
from services.gateway.headers import API_HEADERS
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of
from services.gateway.schemas import AcceptedResponse, ExecuteRequest, ExecuteResponse

router = APIRouter(tags=["runs"])


@router.post(
    "/api/schema/pipeline/execute",
    response_model=None,
    responses={
        200: {"model": ExecuteResponse, "description": "The run has ended."},
        202: {"model": AcceptedResponse, "description": "The run goes on; see Location."},
        **problems(400, 404, 408, 409, 413, 415, 422, 429, 503, 504),
    },
)
async def execute(
    request: Request,
    body: ExecuteRequest,
    parts: Annotated[Parts, Depends(parts_of)],
    prefer: Annotated[
        str | None, Header(description="`respond-async`, `wait=N` (seconds), or both")
    ] = None,
    idempotency_key: Annotated[
        str | None, Header(description="the same key of the same person is the same run")
    ] = None,
) -> Response:
    """Start a run and answer with what came of it.

    When the wait is over first, with `Prefer: respond-async`, or when this server stops meanwhile,
    the answer is 202 and the run goes on. It goes on as well when the client goes away.
    """
    run_id = run_id_for(idempotency_key, body.user_id)
    preference = parse_prefer(request.headers.getlist("prefer"), parts.wait_seconds)
    parts.start_limit.take(request.client.host if request.client else "")
    run = await parts.runs.start(
        RunStart(
            run_id=run_id,
            config=body.config,
            input_text=body.input_text,
            user_id=body.user_id,
            context=body.context,
            output_configs=tuple(body.output_configs),
            safety_level=body.safety_level or "",
            execution_mode=body.execution_mode,
            seed=body.seed,
            language=body.language,
        )
    )

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    headers = dict(API_HEADERS)
    if preference.applied:
        headers["Preference-Applied"] = preference.applied
    ended = run.final or (
        preference.wait_seconds > 0 and await parts.runs.wait(run.id, preference.wait_seconds, gone)
    )
    if ended:
        return _json(200, present.executed(await parts.runs.outcome(run.id)), headers)
    answer = present.accepted(run if run.final else await parts.runs.get(run.id))
    headers["Location"] = answer.urls.status
    return _json(202, answer, headers)


def _json(status: int, model: Any, headers: dict[str, str]) -> Response:
    return Response(model.model_dump_json(), status, headers, media_type="application/json")
