"""The OpenAI-compatible protocol: Ollama, vLLM, llama.cpp, LM Studio, OpenRouter, Mistral.

The module imports the `openai` client, which is slow to load: it is imported where such a server
is configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk

from services.interception.providers.chat import (
    MAX_LISTED,
    MAX_RESPONSE_BYTES,
    ChatPiece,
    ChatRequest,
    ChatServer,
    Sight,
)
from services.interception.providers.errors import (
    protocol_error,
    silence_error,
    status_error,
)
from services.interception.providers.sights import POLL_SECONDS, first_word, seen_from
from services.interception.providers.transport_errors import model_errors
from services.kit.bounded_http import bounded_client
from services.kit.errors import ArtlabError, Unavailable


class OpenAIProvider:
    """Talks to one server. Close it with `aclose`."""

    protocol = "openai"

    def __init__(self, server: ChatServer) -> None:
        self._server = server
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
        """See the port."""
        await self._client.close()

    def sent(self, request: ChatRequest) -> Mapping[str, str]:
        """See the port."""
        sent = self._sampling(request)
        if "seed" in sent:
            sent["model_seed"] = sent.pop("seed")
        return {
            name: str(value) if isinstance(value, int) else f"{value:g}"
            for name, value in sent.items()
        }

    def _sampling(self, request: ChatRequest) -> dict[str, Any]:
        all_of_it = {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": request.seed,
        }
        return {
            name: value for name, value in all_of_it.items() if name not in self._server.omitted
        }

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatPiece, None]:
        """See the port."""
        with _client_errors():
            stream = await self._client.chat.completions.create(
                model=request.model,
                messages=[
                    {"role": "system", "content": request.system},
                    {"role": "user", "content": request.user},
                ],
                stream=True,
                **self._sampling(request),
            )
        try:
            if not stream.response.headers.get("content-type", "").startswith("text/event-stream"):
                raise protocol_error("the model server's answer is no event stream")
            chunks, answer_id, finished = aiter(stream), "", False
            while True:
                with _client_errors():
                    chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    # All chunks of an answer have its id; another one is somebody else's answer.
                    if answer_id and chunk.id and chunk.id != answer_id:
                        raise protocol_error("the model server mixed two answers")
                    answer_id = chunk.id or answer_id
                    piece = _piece(chunk)
                finished = finished or bool(piece.finish)
                yield piece
            if not finished:
                raise protocol_error("the model server's answer ended before it was finished")
        finally:
            # Also when the caller goes away: closing the connection stops the model.
            await stream.close()

    async def look(self, model: str) -> Sight:
        """See the port: the list of models, as far as such servers have one."""
        try:
            with _client_errors():
                page = await self._client.models.list()
                known = {str(each.id): str(each.owned_by) for each in page.data[:MAX_LISTED]}
        except ArtlabError as error:
            if error.reason == "LLM_MODEL_NOT_FOUND":
                return Sight("unknown", "the server does not list its models")
            return seen_from(error)
        # Ollama's names have a tag; llama.cpp has one model and answers to every name.
        if model in known or f"{model}:latest" in known or "llamacpp" in known.values():
            return Sight("ready")
        return Sight("model_missing", f"the server has no model {model}")

    async def warm(self, model: str, *, fetch: bool) -> AsyncGenerator[Sight, None]:
        """See the port: asks for one word, as often as the server says that it is loading."""
        seen = await self.look(model)
        while seen.state == "loading":
            yield seen
            await asyncio.sleep(POLL_SECONDS)
            seen = await self.look(model)
        if seen.state not in ("ready", "unknown"):
            yield seen
            return
        yield Sight("loading", "asking for a first word")
        async with aclosing(self.chat(first_word(model))) as pieces:
            async for _ in pieces:
                pass
        yield Sight("ready")


def _piece(chunk: ChatCompletionChunk) -> ChatPiece:
    model = chunk.model if isinstance(chunk.model, str) else ""
    choices: Any = chunk.choices
    if not choices:  # the last chunk of some servers holds only the usage
        return ChatPiece(model=model)
    choice = choices[0]
    content = choice.delta.content
    if content is not None and not isinstance(content, str):
        raise protocol_error("the model server's answer is no text")
    finish = "" if choice.finish_reason is None else str(choice.finish_reason)
    declined = finish == "content_filter" or bool(choice.delta.refusal)
    return ChatPiece(text=content or "", model=model, finish=finish, declined=declined)


@contextmanager
def _client_errors() -> Iterator[None]:
    with model_errors():
        try:
            yield
        except openai.APITimeoutError as error:
            raise silence_error() from error
        except openai.APIConnectionError as error:
            raise Unavailable("LLM_UNAVAILABLE", "the model server cannot be reached") from error
        except openai.APIStatusError as error:
            body = str(error.body).encode() if error.body is not None else b""
            raise status_error(error.status_code, error.response.headers, body) from error
        except openai.OpenAIError as error:
            away = "the model server reported an error"
            raise Unavailable("LLM_UNAVAILABLE", away) from error
