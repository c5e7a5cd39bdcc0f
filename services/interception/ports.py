"""What the application needs from the outside: a writer and an ear for languages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from services.interception.domain.writing import WritingTask

ExecutionMode = Literal["eco", "fast"]


@dataclass(frozen=True, slots=True)
class Written:
    """The end of a piece of writing: the whole text, and what was used, as reported."""

    text: str
    backend: str
    model: str
    # Language of the text where the writer knows it; empty means detect.
    language: str = ""
    translated: bool | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A place in the line before a provider, from 1."""

    position: int
    provider: str


class Writer(Protocol):
    """Makes one text."""

    # For people: "builtin", "openai:llama3.2".
    name: str

    def write(self, task: WritingTask) -> AsyncGenerator[str | Waiting | Written, None]:
        """Yield places in the line, then pieces of the text as it grows, then one Written.

        Raises an ArtlabError with an LLM_ reason. Closing the iterator stops the work.
        """
        ...


class Writers(Protocol):
    """Which writer makes a text."""

    async def choose(self, task: WritingTask, mode: ExecutionMode) -> Writer:
        """The writer for a task in a mode; never a remote one where only local ones may be.

        Raises Unavailable LLM_UNAVAILABLE when it can't be told where a server is.
        """
        ...

    def names(self) -> tuple[str, ...]:
        """What writes here, for people."""
        ...


class LanguageDetector(Protocol):
    """Tells which language a text is in."""

    async def detect(self, text: str, hint: str = "") -> str:
        """A primary tag such as "de", or "und"; the hint unless the text is clearly otherwise."""
        ...
