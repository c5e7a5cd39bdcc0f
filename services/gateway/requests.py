"""What clients send: strict models, from which the OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from services.kit.errors import InvalidArgument
from services.kit.ids import parse_config_name, parse_pseudonym
from services.kit.text import MAX_TEXT_CHARACTERS, parse_text

MAX_OUTPUTS = 16
MAX_INPUT_IMAGES = 4
MAX_PARAMETERS = 64
MAX_SEED = 2**53 - 1
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
    user_id: Annotated[str, BeforeValidator(_pseudonym)] = Field(
        ANONYMOUS,
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
