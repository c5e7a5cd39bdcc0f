"""A recipe as the gateway shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a person chooses from. Texts are by language, "de" and "en" at least.

    Attributes:
        context: what a model is told to be, and what a reader can learn from it.
        passes: titles of its passes, in order; without texts where they have none of their own.
        default_output: a kind, empty for text only.
        origin: "shipped", or "local" when somebody here wrote it.
    """

    name: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    context: Mapping[str, str]
    category: str
    icon: str
    color: str
    order: int
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    minimum_age: int
    workshop_suitable: bool
    accepts_context: bool
    requires_context: bool
    translates_input: bool
    passes: tuple[Mapping[str, str], ...]
    output_configs: tuple[str, ...]
    default_output: str
    local_only: bool
    origin: str
