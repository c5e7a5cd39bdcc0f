"""What a run that waits is told and asked: decisions of people, and its place in line."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.gateway import present
from services.gateway.answers import DecisionResponse, QueueResponse
from services.gateway.domain.run import Decision
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of, run_id_in_path
from services.gateway.requests import DecisionRequest, NoQuery
from services.kit.ids import RunId

router = APIRouter(prefix="/api/runs/{run_id}", tags=["runs"])

PartsHere = Annotated[Parts, Depends(parts_of)]
RunHere = Annotated[RunId, Depends(run_id_in_path)]
NoParameters = Annotated[NoQuery, Query()]


@router.post(
    "/decisions", responses=problems(400, 403, 404, 408, 409, 413, 415, 422, 429, 503, 504)
)
async def decide(
    run_id: RunHere, body: DecisionRequest, parts: PartsHere, _: NoParameters
) -> DecisionResponse:
    """Answer a question that a run waits with, so that it goes on.

    The answer is recorded before this one; the same again changes nothing, another one is 409.
    """
    decision = Decision(
        run_id=run_id,
        question=body.question,
        decision=body.decision,
        text=body.text,
        user_id=body.user_id,
        is_teacher=parts.teacher_decisions,
    )
    return present.decided(await parts.runs.decide(decision))


@router.get("/queue", responses=problems(404, 422, 503, 504))
async def queue(run_id: RunHere, parts: PartsHere, _: NoParameters) -> QueueResponse:
    """Tell how many runs come before this one, and how long it may take."""
    place = await parts.runs.place(run_id)
    return QueueResponse(run_id=str(run_id), **present.place_fields(place))
