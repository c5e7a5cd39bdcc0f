"""One question about a text, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.safety.domain.verdict import Hit
from services.safety.judge.model_client import Asking


@dataclass(frozen=True, slots=True)
class TextQuestion:
    """What is asked. `read` returns what the answer says is in the text, or raises ArtlabError."""

    asking: Asking
    read: Callable[[str], tuple[Hit, ...]]


class Form(Protocol):
    """A manner of asking a model about texts."""

    def question(self, text: str) -> TextQuestion:
        """Return what is asked about this text, and how the answer is read."""
        ...
