"""A writer that asks an OpenAI-compatible server, such as Ollama, vLLM, llama.cpp or OpenRouter.

One pass is one streamed chat completion. It is repeated only while nothing was streamed. The
module imports the `openai` client, which is slow to load: it is imported where a server is
configured.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk

from services.interception.domain.draw import Draw
from services.interception.domain.guard import ThoughtFilter, checked, without_control
from services.interception.domain.messages import Instructions, instruct
from services.interception.domain.writing import WritingTask
from services.interception.ports import Written
from services.interception.providers.openai_errors import model_errors, protocol_error
from services.interception.providers.turnstile import Turnstile
from services.kit.bounded_http import bounded_client
from services.kit.deadline import budget
from services.kit.errors import DeadlineExceeded, FailedPrecondition, Unavailable
from services.kit.log import facts
from services.kit.text import MAX_TEXT_CHARACTERS

log = logging.getLogger(__name__)

RETRIES = 3
BACKOFF_SECONDS = 0.2
MAX_MODEL_NAME_CHARACTERS = 200
MAX_RESPONSE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ChatServer:
    """Which server, and how long and how often it is asked."""

    base_url: str
    model: str
    api_key: str = ""
    proxy: str = ""
    timeout_seconds: float = 120.0
    silence_seconds: float = 60.0
    at_once: int = 2
    waiting: int = 64

    def __repr__(self) -> str:
        # A key must not end in a log by way of a traceback.
        return f"ChatServer(model={self.model!r})"


class OpenAIWriter:
    """Writes by a chat model. Close it with `aclose`."""

    def __init__(self, server: ChatServer) -> None:
        self.name = f"openai:{server.model}"
        self._server = server
        self._turnstile = Turnstile(server.at_once, server.waiting)
        self._client = openai.AsyncOpenAI(
            base_url=server.base_url,
            # The client insists on one; without a key of ours the header is not sent.
            api_key=server.api_key or "none",
            max_retries=0,
            http_client=bounded_client(
                silence_seconds=server.silence_seconds,
                with_key=bool(server.api_key),
                proxy=server.proxy,
                encrypted=server.base_url.startswith("https:"),
                max_bytes=MAX_RESPONSE_BYTES,
                strange=lambda what: protocol_error(f"the model server's answer {what}"),
            ),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def write(self, task: WritingTask) -> AsyncGenerator[str | Written, None]:
        """Yield pieces of the answer, then the whole, checked."""
        instructions = instruct(task, "de" if task.from_language == "de" else "en")
        deadline = asyncio.get_running_loop().time() + budget(self._server.timeout_seconds)
        async with self._turnstile.turn(deadline):
            for attempt in range(1, RETRIES + 2):
                answer = _Answer(instructions, task, self._server.model)
                try:
                    async with aclosing(
                        self._pieces(instructions, task, answer, deadline)
                    ) as pieces:
                        async for piece in pieces:
                            yield piece
                    yield answer.written(attempt)
                    return
                except Unavailable as error:
                    if answer.begun or attempt > RETRIES:
                        raise
                    log.info("asking again", extra=facts(reason=error.reason, attempt=attempt))
                await _pause(task, attempt, deadline)

    async def _pieces(
        self, instructions: Instructions, task: WritingTask, answer: _Answer, deadline: float
    ) -> AsyncGenerator[str, None]:
        with model_errors():
            async with asyncio.timeout_at(self._silence(deadline)):
                stream = await self._client.chat.completions.create(
                    model=self._server.model,
                    messages=[
                        {"role": "system", "content": instructions.system},
                        {"role": "user", "content": instructions.user},
                    ],
                    temperature=task.sampling.temperature,
                    top_p=task.sampling.top_p,
                    max_tokens=task.sampling.max_tokens,
                    seed=_model_seed(task),
                    stream=True,
                )
        try:
            kind = stream.response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise protocol_error("the model server's answer is no event stream")
            chunks = aiter(stream)
            while True:
                with model_errors():
                    async with asyncio.timeout_at(self._silence(deadline)):
                        chunk = await anext(chunks, None)
                    shown = answer.take(chunk) if chunk is not None else answer.rest()
                if shown:
                    yield shown
                if chunk is None or answer.full:
                    return
        finally:
            # Also when the caller goes away: closing the connection stops the model.
            await stream.close()

    def _silence(self, deadline: float) -> float:
        now = asyncio.get_running_loop().time()
        return min(deadline, now + self._server.silence_seconds)


class _Answer:
    """An answer as it grows."""

    def __init__(self, instructions: Instructions, task: WritingTask, asked_model: str) -> None:
        self._instructions = instructions
        self._sampling = task.sampling
        self._translates = task.translates
        self._language = task.to_language
        self._asked_model = asked_model
        self._model_seed = _model_seed(task)
        self._thoughts = ThoughtFilter()
        self._shown: list[str] = []
        self._size = 0
        self._model = ""
        self._finish = ""
        self.begun = False

    @property
    def full(self) -> bool:
        """Whether there is more text than we take."""
        return self._size > MAX_TEXT_CHARACTERS

    def take(self, chunk: ChatCompletionChunk) -> str:
        """Return what of this chunk may be shown. Raises Unavailable, FailedPrecondition."""
        if not self._model:
            self._model = _model_name(chunk.model)
        choices: Any = chunk.choices
        if not choices:  # the last chunk of some servers holds only the usage
            return ""
        choice = choices[0]
        if choice.finish_reason is not None:
            self._finish = str(choice.finish_reason)[:40]
        if self._finish == "content_filter" or choice.delta.refusal:
            raise FailedPrecondition("LLM_REFUSED", "the model declined to write")
        content = choice.delta.content
        if content is None:
            return ""
        if not isinstance(content, str):
            raise protocol_error("the model server's answer is no text")
        return self._keep(self._thoughts.feed(content))

    def rest(self) -> str:
        """The stream has ended: return what was held back."""
        if not self._finish:
            raise protocol_error("the model server's answer ended before it was finished")
        return self._keep(self._thoughts.end())

    def _keep(self, piece: str) -> str:
        piece = without_control(piece)
        if piece:
            self.begun = True
            self._shown.append(piece)
            self._size += len(piece)
        return piece

    def written(self, attempt: int) -> Written:
        """The whole answer, checked; it came at this attempt, from 1."""
        text = checked("".join(self._shown), self._instructions.own, self._instructions.user)
        if self._model and self._model != self._asked_model:
            log.warning(
                "another model answered",
                extra=facts(asked=self._asked_model, answered=self._model),
            )
        sampling = self._sampling
        return Written(
            text=text,
            backend="openai",
            model=self._model,
            translated=True if self._translates else None,
            parameters={
                "technique": "model",
                "asked_model": self._asked_model,
                "temperature": f"{sampling.temperature:g}",
                "top_p": f"{sampling.top_p:g}",
                "max_tokens": str(sampling.max_tokens),
                "finish": "cut_at_limit" if self.full else self._finish,
                "asked_language": self._language,
                "model_seed": str(self._model_seed),
                "attempt": str(attempt),
            },
        )


def _model_seed(task: WritingTask) -> int:
    # Servers differ in how large a seed may be; 31 bits fit all.
    return Draw("model", task.seed, task.number).below(2**31)


def _model_name(name: object) -> str:
    if not isinstance(name, str):
        return ""
    return "".join(c for c in name if c.isprintable())[:MAX_MODEL_NAME_CHARACTERS]


async def _pause(task: WritingTask, attempt: int, deadline: float) -> None:
    # Several passes that failed together must not come back together.
    jitter = 0.5 + Draw("backoff", task.seed, task.number, attempt).below(1000) / 1000
    seconds = BACKOFF_SECONDS * 2 ** (attempt - 1) * jitter
    if asyncio.get_running_loop().time() + seconds >= deadline:
        raise DeadlineExceeded("LLM_TIMEOUT", "no time left to ask the model again")
    await asyncio.sleep(seconds)
