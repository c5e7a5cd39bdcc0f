"""A judging model at an OpenAI-compatible server: turns, time, and asking again.

The module imports the `openai` client, which is slow to load: it is imported where a server is
configured.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai

from services.kit.bounded_http import bounded_client
from services.kit.deadline import budget
from services.kit.errors import ResourceExhausted, Unavailable
from services.kit.log import facts
from services.kit.near import is_near
from services.safety.judge.answers import Answer, read_completion
from services.safety.judge.complaints import Complaints
from services.safety.judge.model_errors import model_errors

log = logging.getLogger(__name__)

RETRIES = 3
BACKOFF_SECONDS = 0.3
# A server that asks for more patience than this is asked again by whoever asked us.
LONGEST_PAUSE_SECONDS = 5.0
MAX_RESPONSE_BYTES = 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelServer:
    """Which model where, how long it may take, how often at once it is asked, and who may wait.

    `passes_on` says that a server near by hands what it gets to somebody else's machine.
    """

    base_url: str
    model: str
    api_key: str = ""
    timeout_seconds: float = 30.0
    at_once: int = 2
    waiting: int = 1000
    passes_on: bool = False

    @property
    def is_remote(self) -> bool:
        """Whether what is sent there reaches a machine that is not one's own."""
        return self.passes_on or not is_near(urlsplit(self.base_url).hostname or "")

    def __repr__(self) -> str:
        # A key must not end in a log by way of a traceback.
        return f"ModelServer(model={self.model!r})"


@dataclass(frozen=True, slots=True)
class Asking:
    """One question to a model.

    Attributes:
        messages: as the API takes them.
        schema: of the answer, for servers that hold their models to one; None for none.
        own_connection: for an answer that does not say which question it is of.
    """

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    own_connection: bool = False


class ModelClient:
    """Asks one model. Close it with `aclose`."""

    def __init__(self, server: ModelServer, complaints: Complaints) -> None:
        self._server = server
        self._complaints = complaints
        self._free = asyncio.Semaphore(server.at_once)
        self._line = 0
        self._client = openai.AsyncOpenAI(
            base_url=server.base_url,
            # The client insists on one; without a key of ours the header is not sent.
            api_key=server.api_key or "none",
            max_retries=0,
            http_client=bounded_client(
                silence_seconds=server.timeout_seconds,
                with_key=bool(server.api_key),
                encrypted=server.base_url.startswith("https:"),
                max_bytes=MAX_RESPONSE_BYTES,
                strange=lambda what: complaints.odd(f"gave an answer that {what}"),
            ),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the model is free. Raises `busy` when too many wait already."""
        if self._free.locked() and self._line >= self._server.waiting:
            raise self._complaints.busy()
        self._line += 1
        try:
            await self._free.acquire()
        finally:
            self._line -= 1
        try:
            yield
        finally:
            self._free.release()

    @asynccontextmanager
    async def in_time(self, seconds: float | None = None) -> AsyncIterator[None]:
        """What is done inside ends in time, by default the server's. Raises `slow`."""
        with model_errors(self._complaints):
            async with asyncio.timeout(budget(seconds or self._server.timeout_seconds)):
                yield

    async def ask(self, asking: Asking, read: Callable[[Answer], T], retries: int = RETRIES) -> T:
        """Return what `read` makes of the answer; ask again so often while the error may pass.

        Raises what the complaints make of a server that does not answer, and what `read` raises.
        """
        for attempt in range(retries + 1):
            try:
                with model_errors(self._complaints):
                    return await self._ask(asking, read)
            except (Unavailable, ResourceExhausted) as error:
                pause = error.retry_after_seconds or BACKOFF_SECONDS * 2**attempt
                if attempt == retries or pause > LONGEST_PAUSE_SECONDS:
                    raise
                log.info("asking again", extra=facts(reason=error.reason, attempt=attempt + 1))
            # So that many who were sent away together do not come back together.
            await asyncio.sleep(pause * random.uniform(1.0, 1.5))  # noqa: S311
        raise AssertionError

    async def _ask(self, asking: Asking, read: Callable[[Answer], T]) -> T:
        options: dict[str, Any] = {}
        if asking.schema is not None:
            form = {"name": "judgement", "schema": asking.schema, "strict": True}
            options["response_format"] = {"type": "json_schema", "json_schema": form}
        if asking.own_connection:
            options["extra_headers"] = {"Connection": "close"}
        messages: Any = list(asking.messages)
        completion = await self._client.chat.completions.create(
            model=self._server.model,
            messages=messages,
            temperature=0.0,
            max_tokens=asking.max_tokens,
            **options,
        )
        answer = read_completion(completion, self._complaints)
        if answer.model and answer.model != self._server.model:
            log.warning(
                "another model answered",
                extra=facts(asked=self._server.model, answered=answer.model),
            )
        return read(Answer(answer.text, answer.model or self._server.model))
