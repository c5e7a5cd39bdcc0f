"""What people say while a run waits, and what they may choose from: requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from artlab.orchestrator.v1 import orchestrator_pb2
from services.kit.enums import parse_enum
from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, parse_pseudonym
from services.kit.text import parse_text
from services.orchestrator.decisions import Answer
from services.orchestrator.domain.questions import Said
from services.orchestrator.engine.definition import Definition
from services.orchestrator.engine.mermaid import mermaid

MAX_SEQUENCE = 999_999


def answer_of(request: orchestrator_pb2.ResumeRunRequest) -> Answer:
    """Return what somebody says to a question. Raises InvalidArgument with the field's path."""
    run_id = RunId.parse_name(request.name)
    if not 1 <= request.question <= MAX_SEQUENCE:
        raise InvalidArgument("INVALID_SEQUENCE", "expected a number from 1", field="question")
    said = parse_enum(orchestrator_pb2.Decision, request.decision, "decision")
    text = parse_text(request.text, "text", optional=True)
    if said == "edit" and not text.strip():
        raise InvalidArgument("TEXT_REQUIRED", "an edit has a text", field="text")
    if said != "edit" and request.text:
        raise InvalidArgument("TEXT_NOT_EXPECTED", "only an edit has a text", field="text")
    return Answer(
        run_id=run_id,
        question=request.question,
        said=cast("Said", said),
        text=text,
        user_id=parse_pseudonym(request.user_id),
        is_teacher=request.is_teacher,
    )


def pipeline_summaries(
    pipelines: Mapping[str, Definition],
) -> orchestrator_pb2.ListPipelinesResponse:
    """Return what may be told of the pipelines, by name."""
    return orchestrator_pb2.ListPipelinesResponse(
        pipelines=[
            orchestrator_pb2.PipelineSummary(
                name=name,
                title=dict(definition.title),
                description=dict(definition.description),
                steps=[step.id for step in definition.steps],
                mermaid=mermaid(definition),
            )
            for name, definition in sorted(pipelines.items())
        ]
    )
