"""POST /api/schema/pipeline/execute: start a run, and wait for it if asked to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel

from services.gateway import present
from services.gateway.answers import AcceptedResponse, ExecuteResponse
from services.gateway.domain.preferences import parse_prefer, run_id_for
from services.gateway.domain.run import Rerun, Run, RunStart
from services.gateway.headers import API_HEADERS
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of
from services.gateway.requests import ANONYMOUS, ExecuteRequest
from services.kit.errors import ArtlabError
from services.kit.ids import RunId
from services.kit.log import facts

log = logging.getLogger(__name__)

router = APIRouter(tags=["runs"])


@router.post(
    "/api/schema/pipeline/execute",
    response_model=None,
    responses={
        200: {"model": ExecuteResponse, "description": "The run has ended."},
        202: {"model": AcceptedResponse, "description": "The run goes on; see Location."},
        **problems(400, 403, 404, 408, 409, 413, 415, 422, 429, 503, 504, 507),
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

    When the wait is over first, with `Prefer: respond-async`, with `input_images`, or when this
    server stops meanwhile, the answer is 202 and the run goes on; also when it asks a person
    something (`open_questions`). It goes on as well when the client goes away.
    """
    run_id = run_id_for(idempotency_key, body.user_id)
    # A run that waits for pictures cannot end before its answer says where to send them.
    longest = 0.0 if body.input_images else parts.wait_seconds
    preference = parse_prefer(request.headers.getlist("prefer"), longest)
    headers = dict(API_HEADERS)
    if preference.applied:
        headers["Preference-Applied"] = preference.applied
    waits = preference.wait_seconds > 0
    with parts.runs.place_to_wait() if waits else nullcontext():
        parts.start_limit.take(request.client.host if request.client else "")
        run = await parts.runs.start(_start_of(run_id, body))
        try:
            if run.final or (waits and await _ends(request, parts, run, preference.wait_seconds)):
                outcome = await parts.runs.outcome(run.id)
                return _json(200, present.executed(outcome), headers)
            run, place = await asyncio.gather(
                parts.runs.get(run.id), parts.runs.place_if_waiting(run)
            )
        except ArtlabError as error:
            # The run has begun: an error would make the client start a second one.
            log.warning("outcome unknown", extra=facts(run=str(run.id), reason=error.reason))
            place = None
    answer = present.accepted(run, place if run.state == "pending" else None)
    return _json(202, answer, {**headers, "Location": answer.urls.status})


async def _ends(request: Request, parts: Parts, run: Run, seconds: float) -> bool:
    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return await parts.runs.wait(run.id, seconds, gone)


def _start_of(run_id: RunId, body: ExecuteRequest) -> RunStart:
    return RunStart(
        run_id=run_id,
        config=body.config,
        input_text=body.input_text,
        user_id=body.user_id,
        context=body.context,
        output_configs=tuple(body.output_configs),
        safety_level=body.safety_level or "",
        # What a rerun does not say is as it was.
        execution_mode=body.execution_mode or ("" if body.rerun else "eco"),
        seed=body.seed,
        language=body.language,
        input_images=body.input_images,
        parameters=body.parameters,
        # Nobody is to get the output, and the run id, of somebody else.
        allow_reuse=body.allow_reuse and body.user_id != ANONYMOUS,
        pipeline=body.pipeline or "",
        pause_before_render=body.pause_before_render,
        rerun=Rerun(RunId(body.rerun.run_id), body.rerun.from_stage, body.rerun.text)
        if body.rerun
        else None,
    )


def _json(status: int, model: BaseModel, headers: Mapping[str, str]) -> Response:
    return Response(model.model_dump_json(), status, headers, media_type="application/json")
