"""One text written: by whoever is to write it, as it grows, and what came of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from services.interception.domain.guard import capped
from services.interception.domain.writing import TaskName, WritingTask
from services.interception.ports import (
    ExecutionMode,
    LanguageDetector,
    Waiting,
    Writers,
    Written,
)
from services.kit.errors import FailedPrecondition, Internal


@dataclass(frozen=True, slots=True)
class PassResult:
    """One finished text."""

    number: int
    passes: int
    task: TaskName
    text: str
    backend: str
    model: str
    from_language: str
    to_language: str
    translated: bool | None
    parameters: Mapping[str, str]


Update = str | Waiting | PassResult


async def write(
    task: WritingTask,
    mode: ExecutionMode,
    writers: Writers,
    languages: LanguageDetector,
    *,
    passes: int = 1,
) -> AsyncGenerator[Update, None]:
    """Yield places in the line and the text as it grows, then the result.

    Raises FailedPrecondition LLM_EMPTY_OUTPUT and what the writer raises.
    """
    writer = await writers.choose(task, mode)
    written: Written | None = None
    async with aclosing(writer.write(task)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Written):
                written = piece
            elif piece:
                yield piece
    if written is None:
        raise Internal("WRITER_WITHOUT_END", "the writer ended without a result")
    text = capped(written.text)
    if not text.strip():
        raise FailedPrecondition("LLM_EMPTY_OUTPUT", "the writer gave no text")
    yield PassResult(
        number=task.number,
        passes=passes,
        task=task.task,
        text=text,
        backend=written.backend,
        model=written.model,
        from_language=task.from_language,
        to_language=written.language or await languages.detect(text),
        translated=written.translated if task.translates else None,
        parameters=written.parameters,
    )
