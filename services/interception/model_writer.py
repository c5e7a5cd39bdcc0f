"""Writes by one model of one provider: its turn in the line, deadlines, repeating, hygiene.

A question is repeated only while nothing of its answer was shown: after that the person has read
it, and what is repeated would be another text.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from services.interception.answer import Answer, WrongLanguage
from services.interception.domain.draw import Draw
from services.interception.domain.messages import Instructions, instruct
from services.interception.domain.writing import WritingTask
from services.interception.ports import LanguageDetector, Waiting, Written
from services.interception.providers.chat import ChatProvider, ChatRequest, Sight
from services.interception.providers.endpoint import Endpoint
from services.interception.providers.errors import silence_error
from services.interception.providers.line import Line
from services.interception.providers.sights import seen_from
from services.kit.deadline import budget
from services.kit.errors import ArtlabError, DeadlineExceeded, ResourceExhausted, Unavailable
from services.kit.log import facts

log = logging.getLogger(__name__)

RETRIES = 3
BACKOFF_SECONDS = 0.2
# A server that is loading is asked this often, until the time of the pass is over.
LOADING_SECONDS = 2.0
# Who is told to come back later than this goes to the next provider, or hears it himself.
LONGEST_PATIENCE_SECONDS = 20.0
# What an error says of the server, and not of the text or of how many ask.
_TELLING = frozenset(
    {
        "LLM_UNAVAILABLE",
        "LLM_MODEL_LOADING",
        "LLM_TIMEOUT",
        "LLM_NOT_AUTHORIZED",
        "LLM_MODEL_NOT_FOUND",
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one text may take, its line included, and how long a model may be silent."""

    total_seconds: float = 120.0
    first_token_seconds: float = 60.0
    between_tokens_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class ProviderInUse:
    """A provider of the table: who speaks to it, who waits for it, where it is."""

    name: str
    chat: ChatProvider
    line: Line
    endpoint: Endpoint
    limits: Limits
    # How each of its models was when it was last asked.
    seen: dict[str, Sight] = field(default_factory=dict)


class ModelWriter:
    """Makes texts by one model."""

    def __init__(self, provider: ProviderInUse, model: str, languages: LanguageDetector) -> None:
        self.name = f"{provider.name}:{model}"
        self._provider = provider
        self._model = model
        self._languages = languages

    async def write(self, task: WritingTask) -> AsyncGenerator[str | Waiting | Written, None]:
        """See `Writer`."""
        try:
            async with aclosing(self._write(task)) as updates:
                async for update in updates:
                    yield update
        except ArtlabError as error:
            if error.reason in _TELLING:
                self._provider.seen[self._model] = seen_from(error)
            raise

    async def _write(self, task: WritingTask) -> AsyncGenerator[str | Waiting | Written, None]:
        limits, line = self._provider.limits, self._provider.line
        deadline = asyncio.get_running_loop().time() + budget(limits.total_seconds)
        with line.stand(task.user_id) as ticket:
            async with aclosing(line.places(ticket, deadline)) as places:
                async for place in places:
                    yield Waiting(place, self._provider.name)
            failures, attempt, insist = 0, 0, False
            while True:
                attempt += 1
                instructions = instruct(task, _voice(task), insist=insist)
                request = self._request(task, instructions)
                answer = Answer(task, instructions, self._languages, may_refuse=not insist)
                try:
                    async with aclosing(self._pieces(request, answer, deadline)) as pieces:
                        async for piece in pieces:
                            yield piece
                    self._provider.seen[self._model] = Sight("ready")
                    yield await answer.written(
                        backend=self._provider.name,
                        asked_model=self._model,
                        sent=self._provider.chat.sent(request),
                        attempt=attempt,
                    )
                    return
                except WrongLanguage:
                    log.info("asking again for the language", extra=facts(attempt=attempt))
                    insist = True
                except (Unavailable, ResourceExhausted) as error:
                    loading = error.reason == "LLM_MODEL_LOADING"
                    failures += not loading
                    if answer.begun or failures > RETRIES:
                        raise
                    log.info("asking again", extra=facts(reason=error.reason, attempt=attempt))
                    await _pause(task, error, failures, deadline)

    def _request(self, task: WritingTask, instructions: Instructions) -> ChatRequest:
        return ChatRequest(
            model=self._model,
            system=instructions.system,
            user=instructions.user,
            temperature=task.sampling.temperature,
            top_p=task.sampling.top_p,
            max_tokens=task.sampling.max_tokens,
            # Servers differ in how large a seed may be; 31 bits fit all.
            seed=Draw("model", task.seed, task.number).below(2**31),
        )

    async def _pieces(
        self, request: ChatRequest, answer: Answer, deadline: float
    ) -> AsyncGenerator[str, None]:
        loop, limits = asyncio.get_running_loop(), self._provider.limits
        patience = limits.first_token_seconds
        async with aclosing(self._provider.chat.chat(request)) as chunks:
            while not answer.full:
                try:
                    async with asyncio.timeout_at(min(deadline, loop.time() + patience)):
                        chunk = await anext(chunks, None)
                except TimeoutError as error:
                    raise silence_error() from error
                if chunk is None:
                    break
                # Roles, pings and reasoning come before the first word, and are none.
                patience = limits.between_tokens_seconds if chunk.text else patience
                if shown := await answer.take(chunk):
                    yield shown
        if shown := await answer.rest():
            yield shown


def _voice(task: WritingTask) -> str:
    return "de" if task.from_language == "de" else "en"


async def _pause(task: WritingTask, error: ArtlabError, failures: int, deadline: float) -> None:
    """Wait until it may be asked again; raise what says that there is no time for that."""
    if error.retry_after_seconds is not None:
        seconds = error.retry_after_seconds
        if seconds > LONGEST_PATIENCE_SECONDS:
            raise error
    elif error.reason == "LLM_RATE_LIMITED":
        # Asking again in a moment would only be counted.
        raise error
    elif error.reason == "LLM_MODEL_LOADING":
        seconds = LOADING_SECONDS
    else:
        seconds = BACKOFF_SECONDS * 2 ** (failures - 1)
    # Several that failed together must not come back together; nobody comes back too early.
    seconds *= 1 + Draw("backoff", task.seed, task.number, failures).below(500) / 1000
    if asyncio.get_running_loop().time() + seconds >= deadline:
        if error.retry_after_seconds is not None:
            raise error
        raise DeadlineExceeded("LLM_TIMEOUT", "no time left to ask the model again") from error
    await asyncio.sleep(seconds)
