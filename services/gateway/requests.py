"""What clients send: strict models, from which the OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, parse_config_name, parse_pseudonym
from services.kit.text import MAX_TEXT_CHARACTERS, parse_text

MAX_OUTPUTS = 16
MAX_INPUT_IMAGES = 4
MAX_PARAMETERS = 64
MAX_SEED = 2**53 - 1
MAX_SEQUENCE = 999_999
# Whoever gave no pseudonym: not one person, but anybody.
ANONYMOUS = "anonymous"


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


def _run_id(value: object) -> object:
    return _parsed(value, lambda text: str(RunId.parse(text)))


class _NotGiven(str):
    """A field that is not there, which is not the same as an empty one."""


_NOT_GIVEN = _NotGiven()


def _parsed(value: object, parse: Callable[[str], str]) -> object:
    if not isinstance(value, str) or isinstance(value, _NotGiven):
        return value  # the model says INVALID_TYPE
    try:
        return parse(value)
    except InvalidArgument as error:
        raise _custom(error) from None


ConfigName = Annotated[
    str, BeforeValidator(_config_name), Field(json_schema_extra={"pattern": "^[a-z0-9_]{1,64}$"})
]


UserId = Annotated[
    str, BeforeValidator(_pseudonym), Field(json_schema_extra={"pattern": "^[a-z0-9-]{1,64}$"})
]
OptionalText = Annotated[
    str,
    BeforeValidator(_optional_text),
    Field(json_schema_extra={"maxLength": MAX_TEXT_CHARACTERS}),
]

ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
# Whole numbers as far as JavaScript and JSON readers can hold them.
ParameterValue = (
    bool
    | Annotated[int, Field(ge=-MAX_SEED, le=MAX_SEED)]
    | float
    | Annotated[str, BeforeValidator(_optional_text)]
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RerunRequest(_Strict):
    """From where a run goes on."""

    run_id: Annotated[str, BeforeValidator(_run_id)] = Field(
        description="a run of the same person", json_schema_extra={"format": "uuid"}
    )
    from_stage: int = Field(
        ge=2, le=4, description="the first stage done anew: 2 the interception, 3 or 4 the outputs"
    )
    text: OptionalText = Field(
        "", description="from stage 3 on: takes the place of the intercepted text, and is checked"
    )


class ExecuteRequest(_Strict):
    """What a person asks for."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["schema", "input_text"]}, {"required": ["rerun"]}],
            "examples": [
                {
                    "schema": "dada",
                    "input_text": "Eine Blume auf der Wiese",
                    "execution_mode": "eco",
                    "safety_level": "kids",
                }
            ],
        }
    )

    # Before what it makes optional: a field sees those above it.
    rerun: RerunRequest | None = Field(
        None, description="goes on from another run; what is not set here is as it was there"
    )
    config: ConfigName = Field(
        default_factory=lambda: _NOT_GIVEN,
        alias="schema",
        validate_default=True,
        description="name of the recipe, e.g. dada",
    )
    input_text: Annotated[str, BeforeValidator(_text)] = Field(
        default_factory=lambda: _NOT_GIVEN,
        validate_default=True,
        description="the idea; at most 20 000 characters and 64 KiB",
        json_schema_extra={"minLength": 1, "maxLength": MAX_TEXT_CHARACTERS},
    )
    execution_mode: Literal["eco", "fast"] | None = Field(
        None, description="eco (the default): local models only; fast: remote ones where allowed"
    )
    safety_level: Literal["kids", "youth", "adult", "research"] | None = Field(
        None, description="may only be stricter than the server's own level"
    )
    output_configs: list[ConfigName] = Field(
        default_factory=list,
        max_length=MAX_OUTPUTS,
        description="one output each, in order; empty: the recipe decides",
    )
    context: OptionalText = Field(
        "", description="the person's own rules, where the recipe invites them"
    )
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="what everything random is derived from"
    )
    language: str = Field(
        "",
        pattern=r"^([A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3})?$",
        description="of explanations, BCP 47; empty: the text's own",
    )
    input_images: int = Field(
        0,
        ge=0,
        le=MAX_INPUT_IMAGES,
        description="pictures to bring with PUT input_images/{n}; the run waits 5 minutes for them",
    )
    parameters: dict[ParameterName, ParameterValue] = Field(
        default_factory=dict,
        max_length=MAX_PARAMETERS,
        description="values for slots of the outputs, by name, e.g. negative_prompt; see "
        "/api/system",
    )
    allow_reuse: bool = Field(
        False,
        description="whether an equal earlier output of this person may be taken; of a person who "
        "is not named there is none",
    )
    pipeline: ConfigName | None = Field(
        None, description="what the run follows, see /api/pipelines; default four_stages"
    )
    pause_before_render: bool = Field(
        False,
        description="whether the run asks, before anything is made of it, if the text is right; "
        "POST decisions goes on",
    )
    user_id: UserId = Field(ANONYMOUS, description="a pseudonym; never a name or an address")

    @field_validator("config", "input_text")
    @classmethod
    def _or_rerun(cls, value: str, info: ValidationInfo) -> str:
        # A rerun that is wrong itself is not there, and says so itself.
        if not value and info.data.get("rerun", cls) is None:
            raise PydanticCustomError("MISSING_FIELD", "is required")
        return value


class DecisionRequest(_Strict):
    """What a person says to a question that a run waits with."""

    question: int = Field(ge=1, le=MAX_SEQUENCE, description="sequence of the question")
    decision: Literal["approve", "edit", "reject"] = Field(
        description="approve: go on; edit: go on with another text; reject: do not go on"
    )
    text: OptionalText = Field("", description="with edit: the text to go on with; it is checked")
    user_id: UserId = Field(ANONYMOUS, description="who decides, a pseudonym")


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
