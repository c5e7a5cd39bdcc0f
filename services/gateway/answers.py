"""What clients get: models, from which the OpenAPI document is made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class FieldProblem(BaseModel):
    """One wrong field."""

    field: str
    reason: str
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457). It never repeats what was sent."""

    type: str = Field(examples=["urn:artlab:problem:config-not-found"])
    title: str
    status: int
    detail: str
    reason: str = Field(description="UPPER_SNAKE, for programs", examples=["CONFIG_NOT_FOUND"])
    field: str | None = Field(None, description="path of the wrong field")
    fields: list[FieldProblem] = Field(default_factory=list)
    retry_after: float | None = Field(None, description="seconds after which it may work")


class ErrorModel(BaseModel):
    """Why a run or an output failed."""

    reason: str
    message: str
    stage: int
    retryable: bool


class BlockModel(BaseModel):
    """A safety verdict, explained to the person."""

    stage: int
    rule: str
    explanation: str
    suggestion: str
    alternative: str = Field(
        "", description="a text that could be typed instead and passes the same checks"
    )
    language: str


class MediaFile(BaseModel):
    """One file of an output."""

    sequence: int
    url: str
    content_type: str = Field(description="media type of the bytes")
    size_bytes: int


class MediaOutput(BaseModel):
    """One requested output: where it is, or why there is none."""

    index: int
    config: str
    occurrence: int
    media_type: str = Field(description="text, image, audio, music, video or code")
    status: str = Field(
        description="success, blocked, error, not_available, cancelled, pending or running"
    )
    url: str | None = Field(None, description="of the first file")
    content_type: str | None = Field(None, description="media type of the bytes")
    size_bytes: int | None = None
    files: list[MediaFile] = Field(
        default_factory=list, description="all of them: of a batch, or of several nodes, in order"
    )
    reason: str | None = Field(None, description="UPPER_SNAKE, when there is no output")
    error: ErrorModel | None = None
    block: BlockModel | None = None


class ModelUsed(BaseModel):
    """What was used, as reported."""

    task: str
    backend: str
    model: str


class QuestionModel(BaseModel):
    """A question that the run waits with; the document at `url` says what is asked."""

    sequence: int
    url: str
    output_index: int = Field(description="the output it is about; 0: the run")
    audience: str


class Lineage(BaseModel):
    """Where a run comes from, and whom it waits for."""

    parent: str | None = Field(None, description="id of the run that this one goes on from")
    parent_sequence: int | None = Field(
        None, description="the last entity taken over from it, as there"
    )
    open_questions: list[QuestionModel] = Field(
        default_factory=list, description="the run goes on once each has its decision"
    )


class QueueModel(BaseModel):
    """Where a run stands in line; null: there is no history to tell from."""

    position: int = Field(description="runs that come before it; 0: in work, or final")
    estimated_wait_seconds: float | None
    estimated_total_seconds: float | None


class RunUrls(BaseModel):
    """Where to go on."""

    status: str
    entities: str
    events: str
    cancel: str
    input_images: str = Field(description="PUT pictures here, with /1 to /4 at the end")
    decisions: str = Field(description="POST answers to open questions here")
    queue: str


class ExecuteResponse(Lineage):
    """A run that has ended."""

    status: Literal["success", "partial", "blocked", "error", "cancelled"]
    run_id: str
    config: str
    final_output: str | None = Field(description="the text it came to; null when blocked")
    media_output: str | None = Field(description="address of the first output that succeeded")
    media_outputs: list[MediaOutput]
    block: BlockModel | None = None
    error: ErrorModel | None = None
    seed: int
    safety_level: str
    execution_mode: str
    expected_outputs: list[str]
    models_used: list[ModelUsed]
    urls: RunUrls


class AcceptedResponse(Lineage):
    """A run that goes on."""

    run_id: str
    status: str
    queue: QueueModel | None = Field(
        None, description="where it stands in line; null once it has begun, or when nobody says"
    )
    urls: RunUrls


class DecisionResponse(Lineage):
    """A run as it goes on after an answer."""

    run_id: str
    status: str
    urls: RunUrls


class QueueResponse(QueueModel):
    """Where a run stands in line."""

    run_id: str


class CancelResponse(BaseModel):
    """A run as it ended."""

    run_id: str
    status: str


class EntityModel(BaseModel):
    """One recorded thing."""

    sequence: int
    type: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    stage: int
    output_index: int
    pass_number: int = Field(serialization_alias="pass")
    audience: str
    timestamp: datetime | None
    available: bool = Field(description="false: bytes of an output that is not released")
    url: str


class InputImageResponse(BaseModel):
    """What became of a picture that was brought."""

    run_id: str
    index: int
    status: str
    entity: EntityModel | None = Field(description="null when a check refused it")
    block: BlockModel | None = Field(None, description="why the run has ended, if it was refused")
    urls: RunUrls


class EntitiesResponse(Lineage):
    """Everything recorded so far, in order."""

    run_id: str
    entities: list[EntityModel]
