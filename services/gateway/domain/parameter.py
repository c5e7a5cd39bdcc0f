"""What a slot of an output takes, for people and their forms. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A slot with its bounds; see `artlab.media.v1.ParameterSpec`."""

    name: str
    kind: str
    default: bool | int | float | str | None
    minimum: float | None
    maximum: float | None
    multiple_of: int
    remainder: int
    choices: tuple[str, ...]
    at_most: int
    max_characters: int
