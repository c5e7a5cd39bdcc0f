"""The JSON that clients send and get: strict models, from which the OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from services.kit.errors import InvalidArgument
from services.kit.ids import parse_config_name, parse_pseudonym
from services.kit.text import MAX_TEXT_CHARACTERS, parse_text

MAX_OUTPUTS = 16
MAX_SEED = 2**53 - 1


def _custom(error: InvalidArgument) -> PydanticCustomError:
    # The reason becomes the type of the field's error, so that all defects are told at once.
    return PydanticCustomError(error.reason, error.message)


def _text(value: object) -> object:
    return _parsed(value, lambda text: parse_text(text, ""))


def _optional_text(value: object) -> object:
    return _parsed(value, lambda text: parse_text(text, "", optional=True))


def _config_name(value: object) -> object:
    return _parsed(value, parse_config_name)


def _pseudonym(value: object) -> object:
    return _parsed(value, parse_pseudonym)


def _parsed(value: object, parse: Callable[[str], str]) -> object:
    if not isinstance(value, str):
        return value  # the model says INVALID_TYPE
    try:
        return parse(value)
    except InvalidArgument as error:
        raise _custom(error) from None


ConfigName = Annotated[
    str, BeforeValidator(_config_name), Field(json_schema_extra={"pattern": "^[a-z0-9_]{1,64}$"})
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ExecuteRequest(_Strict):
    """What a person asks for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "schema": "dada",
                    "input_text": "Eine Blume auf der Wiese",
                    "execution_mode": "eco",
                    "safety_level": "kids",
                }
            ]
        }
    )

    config: ConfigName = Field(alias="schema", description="name of the recipe, e.g. dada")
    input_text: Annotated[str, BeforeValidator(_text)] = Field(
        description="the idea; at most 20 000 characters and 64 KiB",
        json_schema_extra={"minLength": 1, "maxLength": MAX_TEXT_CHARACTERS},
    )
    execution_mode: Literal["eco", "fast"] = Field(
        "eco", description="eco: local models only; fast: remote ones where allowed"
    )
    safety_level: Literal["kids", "youth", "adult", "research"] | None = Field(
        None, description="may only be stricter than the server's own level"
    )
    output_configs: list[ConfigName] = Field(
        default_factory=list,
        max_length=MAX_OUTPUTS,
        description="one output each, in order; empty: the recipe decides",
    )
    context: Annotated[str, BeforeValidator(_optional_text)] = Field(
        "",
        description="the person's own rules, where the recipe invites them",
        json_schema_extra={"maxLength": MAX_TEXT_CHARACTERS},
    )
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="what everything random is derived from"
    )
    language: str = Field(
        "",
        pattern=r"^([A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3})?$",
        description="of explanations, BCP 47; empty: the text's own",
    )
    user_id: Annotated[str, BeforeValidator(_pseudonym)] = Field(
        "anonymous",
        description="a pseudonym; never a name or an address",
        json_schema_extra={"pattern": "^[a-z0-9-]{1,64}$"},
    )


class EntityQuery(BaseModel):
    """Which of several entities of one type."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: str | None = Field(
        None, pattern=r"^[1-9][0-9]{0,3}$", description="index of the output, from 1"
    )
    # `pass` is a word of Python's own.
    pass_number: str | None = Field(
        None, alias="pass", pattern=r"^[1-9][0-9]{0,3}$", description="pass of a recipe, from 1"
    )


class NoQuery(BaseModel):
    """No parameter is known here."""

    model_config = ConfigDict(extra="forbid")


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
