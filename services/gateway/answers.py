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
    language: str


class MediaOutput(BaseModel):
    """One requested output: where it is, or why there is none."""

    index: int
    config: str
    occurrence: int
    media_type: str = Field(description="text, image, audio, music, video or code")
    status: str = Field(
        description="success, blocked, error, not_available, cancelled, pending or running"
    )
    url: str | None = None
    content_type: str | None = Field(None, description="media type of the bytes")
    size_bytes: int | None = None
    reason: str | None = Field(None, description="UPPER_SNAKE, when there is no output")
    error: ErrorModel | None = None
    block: BlockModel | None = None


class ModelUsed(BaseModel):
    """What was used, as reported."""

    task: str
    backend: str
    model: str


class RunUrls(BaseModel):
    """Where to go on."""

    status: str
    entities: str
    events: str
    cancel: str


class ExecuteResponse(BaseModel):
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


class AcceptedResponse(BaseModel):
    """A run that goes on."""

    run_id: str
    status: str
    urls: RunUrls


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


class EntitiesResponse(BaseModel):
    """Everything recorded so far, in order."""

    run_id: str
    entities: list[EntityModel]


class HealthResponse(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class ServiceModel(BaseModel):
    """One service."""

    name: str
    status: Literal["serving", "not_serving"]


class ReadyResponse(BaseModel):
    """Whether runs can be made."""

    status: Literal["ready", "not_ready"]
    services: list[ServiceModel]


class OutputModel(BaseModel):
    """One output config."""

    name: str
    kind: str
    backend: str
    available: bool
    reason: str
    title: dict[str, str]


class SystemResponse(BaseModel):
    """What this installation is made of; null: the service did not answer."""

    version: str
    services: list[ServiceModel]
    writers: list[str] | None
    judges: list[str] | None
    safety_level: str | None
    outputs: list[OutputModel] | None
