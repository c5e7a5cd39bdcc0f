"""Ollama's own protocol: besides chat it tells which models are there, loads and fetches them.

Source: https://docs.ollama.com/api (chat, tags, ps, pull).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from services.interception.providers.chat import (
    MAX_LISTED,
    MAX_RESPONSE_BYTES,
    ChatPiece,
    ChatRequest,
    ChatServer,
    Sight,
)
from services.interception.providers.errors import protocol_error
from services.interception.providers.sights import seen_from
from services.interception.providers.wire import Wire, object_of, parse_object, share_of, text_of
from services.kit.errors import ArtlabError, FailedPrecondition, Unavailable

NDJSON = "application/x-ndjson"
# A model that is not loaded is answered from after this long, at most; a small disk is slow.
LOAD_SILENCE_SECONDS = 600.0
# What a fetch of gigabytes tells of itself, a line at a time.
MAX_FETCH_BYTES = 256 * 1024 * 1024
# Sights of a fetch are told when it is this much further.
FETCH_STEP = 0.01
_NAMES = {"max_tokens": "num_predict"}


class OllamaProvider:
    """Talks to one server. Close it with `aclose`."""

    protocol = "ollama"

    def __init__(self, server: ChatServer) -> None:
        self._server = server
        headers = {"authorization": f"Bearer {server.api_key}"} if server.api_key else {}
        self._wire = Wire(
            server.base_url,
            headers,
            proxy=server.proxy,
            silence_seconds=server.silence_seconds,
            max_bytes=MAX_RESPONSE_BYTES,
        )
        self._slow_wire = Wire(
            server.base_url,
            headers,
            proxy=server.proxy,
            silence_seconds=LOAD_SILENCE_SECONDS,
            max_bytes=MAX_FETCH_BYTES,
        )

    async def aclose(self) -> None:
        """See the port."""
        await self._wire.aclose()
        await self._slow_wire.aclose()

    def sent(self, request: ChatRequest) -> Mapping[str, str]:
        """See the port."""
        told = {
            "temperature": f"{request.temperature:g}",
            "top_p": f"{request.top_p:g}",
            "max_tokens": str(request.max_tokens),
            "model_seed": str(request.seed),
        }
        kept = {
            name: value
            for name, value in told.items()
            if name.removeprefix("model_") not in self._server.omitted
        }
        return kept | ({"keep_alive": self._server.keep_alive} if self._server.keep_alive else {})

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatPiece, None]:
        """See the port."""
        options = {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": request.seed,
        }
        body = self._body(
            request.model,
            [
                {"role": "system", "content": request.system},
                {"role": "user", "content": request.user},
            ],
            options={
                _NAMES.get(name, name): value
                for name, value in options.items()
                if name not in self._server.omitted
            },
        )
        finished = False
        async with aclosing(self._wire.post_lines("/api/chat", body, NDJSON)) as lines:
            async for line in lines:
                found = _checked(line)
                if found.get("done") is True:
                    finished = True
                # Reasoning comes beside the content, as "thinking", and is not taken.
                yield ChatPiece(
                    text=text_of(object_of(found, "message"), "content"),
                    model=text_of(found, "model"),
                    finish=(text_of(found, "done_reason") or "stop") if finished else "",
                )
                if finished:
                    return
        raise protocol_error("the model server's answer ended before it was finished")

    def _body(self, model: str, messages: list[dict[str, str]], **more: Any) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "messages": messages, "stream": True, **more}
        if self._server.keep_alive:
            body["keep_alive"] = _keep_alive(self._server.keep_alive)
        return body

    async def look(self, model: str) -> Sight:
        """See the port: whether the model is there, and in memory."""
        try:
            if model not in _names(await self._wire.get("/api/tags")):
                return Sight("model_missing", f"the server has no model {model}")
            if model in _names(await self._wire.get("/api/ps")):
                return Sight("ready")
        except ArtlabError as error:
            return seen_from(error)
        return Sight("ready", "not in memory; the first text waits for that (artlab warm)")

    async def warm(self, model: str, *, fetch: bool) -> AsyncGenerator[Sight, None]:
        """See the port: fetches what is missing if it may, then loads it."""
        seen = await self.look(model)
        if seen.state == "model_missing" and fetch:
            async with aclosing(self._fetch(model)) as sights:
                async for seen in sights:
                    yield seen
            seen = await self.look(model)
        if seen.state != "ready":
            yield seen
            return
        if seen.detail:
            yield Sight("loading", "into memory")
            # Without messages the model is only loaded.
            lines = self._slow_wire.post_lines("/api/chat", self._body(model, []), NDJSON)
            async with aclosing(lines) as answers:
                async for line in answers:
                    _checked(line)
        yield Sight("ready")

    async def _fetch(self, model: str) -> AsyncGenerator[Sight, None]:
        lines = self._slow_wire.post_lines("/api/pull", {"model": model, "stream": True}, NDJSON)
        # By layer: how large it is and how much of it is there.
        sizes: dict[str, tuple[int, int]] = {}
        told, last = -1.0, ""
        async with aclosing(lines) as answers:
            async for line in answers:
                found = _checked(line)
                last = text_of(found, "status")[:80]
                digest, total = text_of(found, "digest"), found.get("total")
                if digest and isinstance(total, int) and len(sizes) < MAX_LISTED:
                    done = found.get("completed")
                    sizes[digest] = (total, done if isinstance(done, int) else 0)
                share = share_of(
                    sum(done for _, done in sizes.values()), sum(all_ for all_, _ in sizes.values())
                )
                if share is None or abs(share - told) >= FETCH_STEP:
                    told = share if share is not None else told
                    yield Sight("loading", f"fetching: {last}", share)
        if last != "success":
            raise Unavailable("LLM_UNAVAILABLE", "the model server did not end the fetch")


def _checked(line: bytes) -> dict[str, Any]:
    found = parse_object(line)
    if "error" in found:
        # Its words may quote the text.
        if "not found" in str(found["error"])[:500].lower():
            raise FailedPrecondition("LLM_MODEL_NOT_FOUND", "the model server has no such model")
        raise Unavailable("LLM_UNAVAILABLE", "the model server reported an error")
    return found


def _names(found: Mapping[str, Any]) -> set[str]:
    models = found.get("models")
    if not isinstance(models, list):
        raise protocol_error("the model server's list is none")
    names: set[str] = set()
    for each in models[:MAX_LISTED]:
        if isinstance(each, dict):
            name = text_of(each, "model") or text_of(each, "name")
            # A name without a tag is that with the tag "latest".
            names |= {name, name.removesuffix(":latest")}
    return names


def _keep_alive(value: str) -> str | int:
    # Numbers are seconds and must come as numbers.
    return int(value) if value.lstrip("-").isdigit() else value
