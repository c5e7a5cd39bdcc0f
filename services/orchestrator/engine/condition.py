"""Conditions of paths. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ended = Literal["succeeded", "blocked", "failed"]


@dataclass(frozen=True, slots=True)
class Always:
    """However the step ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The step before ended like this."""

    state: Ended


Condition = Always | Outcome
SUCCEEDED = Outcome("succeeded")
