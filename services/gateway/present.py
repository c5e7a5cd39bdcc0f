"""The gateway's own values as the JSON models that clients get."""

from __future__ import annotations

from typing import Any

from services.gateway.answers import (
    AcceptedResponse,
    BlockModel,
    DecisionResponse,
    EntitiesResponse,
    EntityModel,
    ErrorModel,
    ExecuteResponse,
    InputImageResponse,
    MediaFile,
    MediaOutput,
    ModelUsed,
    QuestionModel,
    QueueModel,
    RunUrls,
)
from services.gateway.domain.outcome import Block, OutputResult
from services.gateway.domain.run import Entity, Fault, QueuePlace, Run, client_status
from services.gateway.domain.selection import is_released
from services.gateway.runs import Brought, Outcome
from services.gateway.urls import entity_url, own_url, run_url
from services.kit.ids import RunId


def urls(run_id: RunId) -> RunUrls:
    """Where to go on with a run."""
    return RunUrls(
        status=run_url(run_id, "status"),
        entities=run_url(run_id, "entities"),
        events=run_url(run_id, "events"),
        cancel=run_url(run_id, "cancel"),
        input_images=own_url(run_id, "input_images"),
        decisions=own_url(run_id, "decisions"),
        queue=own_url(run_id, "queue"),
    )


def accepted(run: Run, place: QueuePlace | None) -> AcceptedResponse:
    """A run that goes on."""
    return AcceptedResponse(
        run_id=str(run.id),
        status=client_status(run.state),
        **_lineage(run),
        queue=QueueModel(**place_fields(place)) if place is not None else None,
        urls=urls(run.id),
    )


def decided(run: Run) -> DecisionResponse:
    """A run as it goes on after an answer."""
    return DecisionResponse(
        run_id=str(run.id), status=client_status(run.state), **_lineage(run), urls=urls(run.id)
    )


def place_fields(place: QueuePlace) -> dict[str, Any]:
    """Where a run stands in line, as the fields of `QueueModel`."""
    return {
        "position": place.position,
        "estimated_wait_seconds": place.wait_seconds,
        "estimated_total_seconds": place.total_seconds,
    }


def executed(outcome: Outcome) -> ExecuteResponse:
    """A run that has ended."""
    run = outcome.run
    outputs = [_output(run, result) for result in outcome.outputs]
    return ExecuteResponse(
        status=client_status(run.state),  # type: ignore[arg-type]
        run_id=str(run.id),
        config=run.config,
        **_lineage(run),
        final_output=outcome.final_output,
        media_output=next((o.url for o in outputs if o.url is not None), None),
        media_outputs=outputs,
        block=_block(outcome.block),
        error=_error(run.error) if run.state == "failed" else None,
        seed=run.seed,
        safety_level=run.safety_level,
        execution_mode=run.execution_mode,
        expected_outputs=list(run.expected_entities),
        models_used=[
            ModelUsed(task=used.task, backend=used.backend, model=used.model)
            for used in run.models_used
        ],
        urls=urls(run.id),
    )


def entities(run: Run, *, is_teacher: bool) -> EntitiesResponse:
    """Everything recorded so far, as whoever asks may have it."""
    return EntitiesResponse(
        run_id=str(run.id),
        **_lineage(run),
        entities=[_entity(run, entity, is_teacher=is_teacher) for entity in run.entities],
    )


def brought(index: int, what: Brought) -> InputImageResponse:
    """What became of a picture."""
    run = what.run
    return InputImageResponse(
        run_id=str(run.id),
        index=index,
        status=client_status(run.state),
        entity=_entity(run, what.entity) if what.entity else None,
        block=_block(what.block),
        urls=urls(run.id),
    )


def _lineage(run: Run) -> dict[str, Any]:
    # A question that is not for whom this server serves is not told.
    shown = [e for e in run.entities if e.type == "question" and e.sequence in run.open_questions]
    return {
        "parent": str(run.parent) if run.parent else None,
        "parent_sequence": run.parent_sequence if run.parent else None,
        "open_questions": [
            QuestionModel(
                sequence=question.sequence,
                url=entity_url(run.id, question.sequence),
                output_index=question.output_index,
                audience=question.audience,
            )
            for question in shown
        ],
    }


def _entity(run: Run, entity: Entity, *, is_teacher: bool = False) -> EntityModel:
    return EntityModel(
        sequence=entity.sequence,
        type=entity.type,
        filename=entity.filename,
        media_type=entity.media_type,
        size_bytes=entity.size_bytes,
        sha256=entity.sha256,
        stage=entity.stage,
        output_index=entity.output_index,
        pass_number=entity.pass_number,
        audience=entity.audience,
        timestamp=entity.timestamp,
        available=is_released(run, entity, is_teacher=is_teacher) and not entity.is_erased,
        url=entity_url(run.id, entity.sequence),
    )


def _output(run: Run, result: OutputResult) -> MediaOutput:
    output = result.output
    files = [
        MediaFile(
            sequence=entity.sequence,
            url=entity_url(run.id, entity.sequence),
            content_type=entity.media_type,
            size_bytes=entity.size_bytes,
        )
        for entity in result.entities
    ]
    first = files[0] if files else None
    failed = output.state in ("failed", "not_available")
    return MediaOutput(
        index=output.index,
        config=output.config,
        occurrence=output.occurrence,
        media_type=output.kind,
        status=result.status,
        url=first.url if first else None,
        content_type=first.content_type if first else None,
        size_bytes=first.size_bytes if first else None,
        files=files,
        reason=output.error.reason if output.error else None,
        error=_error(output.error) if failed else None,
        block=_block(result.block),
    )


def _error(fault: Fault | None) -> ErrorModel | None:
    if fault is None:
        return None
    return ErrorModel(
        reason=fault.reason, message=fault.message, stage=fault.stage, retryable=fault.retryable
    )


def _block(block: Block | None) -> BlockModel | None:
    if block is None:
        return None
    return BlockModel(
        stage=block.stage,
        rule=block.rule,
        explanation=block.explanation,
        suggestion=block.suggestion,
        alternative=block.alternative,
        language=block.language,
    )
