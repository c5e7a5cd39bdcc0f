"""Sketches by a language model behind any OpenAI-compatible server.

The module imports the `openai` client, which is slow to load: it is imported where a server is
configured.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from openai.types.chat import ChatCompletionChunk

from services.kit.errors import FailedPrecondition
from services.media.backends.code.check import find_danger, not_allowed
from services.media.backends.code.findings import Finding
from services.media.backends.code.library import Library, library_of
from services.media.backends.code.task import MAX_ANSWER_CHARACTERS, code_of, instructions
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.backend import Limits
from services.media.backends.hosted.errors import Lost, NotTaken, blocked, protocol_error
from services.media.backends.hosted.openai_backend import OpenAIBackend
from services.media.backends.hosted.openai_errors import client_errors
from services.media.domain.output_config import OutputConfig
from services.media.ports import Product, RenderJob, RenderProgress, Report
from services.media.product import product_of

NAME = "code"
# A small machine reads a prompt for a minute before its model writes the first word.
SILENCE_SECONDS = 120.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
# What most sketches have; only the bar of progress believes in it.
_USUAL_CHARACTERS = 4000
_TEMPERATURE = 0.8
_MAX_MODEL_NAME = 200


@dataclass(frozen=True, slots=True)
class CodeModel:
    """Which model writes, and how much at most."""

    name: str
    max_tokens: int = 6000


class CodeBackend(OpenAIBackend):
    """One sketch a job; see `HostedBackend`. A sketch that is refused is asked for once more."""

    name = NAME

    def __init__(self, account: Account, limits: Limits, model: CodeModel) -> None:
        super().__init__(
            account, limits, silence_seconds=SILENCE_SECONDS, max_json_bytes=MAX_ANSWER_BYTES
        )
        self._model = model

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """Why it cannot be asked now, as far as that is known without asking."""
        if config.kind != "code":
            return f"a language model writes code, not {config.kind}"
        return await super().unavailable_reason(config)

    async def _make(self, job: RenderJob, report: Report) -> Product:
        library = library_of(job.config)
        refused: Finding | None = None
        for attempt in (1, 2):
            ask = partial(self._ask, job, library, refused, report)
            written = await self._patience.ask(ask)
            sketch = written.sketch()
            found = await asyncio.to_thread(find_danger, sketch, library)
            if found is None:
                facts = {"library": library, "sketches": str(attempt)}
                if refused is not None:
                    facts["refused_first"] = refused.kind
                return product_of(sketch.encode(), NAME, written.model or self._model.name, facts)
            refused = found
        assert refused is not None
        raise not_allowed(refused)

    async def _ask(
        self, job: RenderJob, library: Library, refused: Finding | None, report: Report
    ) -> _Answer:
        answer = _Answer(self.title)
        with client_errors(self.account):
            stream = await self._client.chat.completions.create(
                model=self._model.name,
                messages=[
                    {"role": "system", "content": instructions(library, refused)},
                    {"role": "user", "content": job.prompt},
                ],
                temperature=_TEMPERATURE,
                max_tokens=self._model.max_tokens,
                # Servers differ in how large a seed may be; 31 bits fit all. The second sketch
                # must not be the first one again.
                seed=(job.seed + (refused is not None)) % 2**31,
                stream=True,
            )
        try:
            if not stream.response.headers.get("content-type", "").startswith("text/event-stream"):
                raise protocol_error(self.title, "is no event stream")
            with client_errors(self.account):
                async for chunk in stream:
                    answer.take(chunk)
                    report(RenderProgress("executing", answer.fraction))
        except NotTaken as error:
            # It had begun, so it was taken.
            raise Lost(self.title, "the connection broke") from error
        finally:
            # Also when the caller goes away: closing the connection stops the model.
            await stream.close()
        return answer


@dataclass(slots=True)
class _Answer:
    """An answer as it grows."""

    title: str
    model: str = ""
    _pieces: list[str] = field(default_factory=list)
    _size: int = 0
    _thought: bool = False
    _finish: str = ""

    @property
    def fraction(self) -> float:
        """How far it may be: never done before it is."""
        return 0.95 * self._size / (self._size + _USUAL_CHARACTERS)

    def take(self, chunk: ChatCompletionChunk) -> None:
        """Take in what came. Raises BACKEND_BLOCKED, BACKEND_PROTOCOL, CODE_TRUNCATED."""
        if not self.model and isinstance(chunk.model, str):
            self.model = "".join(c for c in chunk.model if c.isprintable())[:_MAX_MODEL_NAME]
        choices: Any = chunk.choices
        if not choices:  # the last chunk of some servers holds only the usage
            return
        choice = choices[0]
        if choice.finish_reason is not None:
            self._finish = str(choice.finish_reason)
        if self._finish == "content_filter" or choice.delta.refusal:
            raise blocked(self.title)
        for name in ("reasoning_content", "reasoning"):
            self._thought |= bool(getattr(choice.delta, name, None))
        content = choice.delta.content
        if content is None:
            return
        if not isinstance(content, str):
            raise protocol_error(self.title, "is no text")
        self._pieces.append(content)
        self._size += len(content)
        if self._size > MAX_ANSWER_CHARACTERS:
            raise FailedPrecondition("CODE_TRUNCATED", "the model writes without an end")

    def sketch(self) -> str:
        """The sketch in it. Raises as `code_of` does, and BACKEND_LOST."""
        if not self._finish:
            raise Lost(self.title, "it ended before it was finished")
        finished = self._finish != "length"
        return code_of("".join(self._pieces), thought=self._thought, finished=finished)
