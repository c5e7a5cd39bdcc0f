"""Manners on a card that a language model and ComfyUI share: who is done makes room.

Both rules are off unless the operator wants them: loading a model again costs seconds, each time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.media.comfy.address import Address
from services.media.comfy.instance import Instance
from services.media.comfy.rest import Rest

log = logging.getLogger(__name__)

OLLAMA_TIMEOUT_SECONDS = 5.0
MAX_MODELS = 8
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Etiquette:
    """The rules; close it when done.

    Args:
        unload_after_job: let ComfyUI unload its models when no job of ours is there any more.
        ollama: let this Ollama unload its models before a job at a ComfyUI on the same host; None
            leaves it alone.
    """

    def __init__(self, *, unload_after_job: bool = False, ollama: Address | None = None) -> None:
        self._unload_after_job = unload_after_job
        self._ollama = Rest(ollama) if ollama is not None else None
        self._freeing: set[asyncio.Task[None]] = set()

    async def before(self, instance: Instance) -> dict[str, str]:
        """Make room for a job; what that took, for the entity. Never fails a job."""
        if self._ollama is None or not _same_host(self._ollama.address, instance.address):
            return {}
        began = time.monotonic()
        try:
            models = await self._unload_language_models(self._ollama)
        except ArtlabError as error:
            log.warning("language model not unloaded", extra=facts(why=error.message))
            return {}
        if not models:
            return {}
        seconds = time.monotonic() - began
        log.info("language model unloaded", extra=facts(models=models, s=seconds))
        return {"unloaded_models": ", ".join(models), "unload_seconds": f"{seconds:.3f}"}

    def after(self, instance: Instance) -> None:
        """Let ComfyUI make room when no job of ours is there: by the rule, or when it is drained.

        Who drains an instance wants its card for something else.
        """
        if (self._unload_after_job or instance.draining) and not len(instance.seats):
            task = asyncio.create_task(self._free(instance), name=f"free {instance.url}")
            self._freeing.add(task)
            task.add_done_callback(self._freeing.discard)

    async def close(self) -> None:
        """Wait for calls under way; each has its own deadline."""
        if self._freeing:
            await asyncio.wait(self._freeing)
        if self._ollama is not None:
            await self._ollama.close()

    async def _free(self, instance: Instance) -> None:
        try:
            # What nodes made stays in memory that is not the card's.
            body = {"unload_models": True, "free_memory": False}
            reply = await instance.rest.post("/free", body)
            # Nothing speaks for this one any more when a machine is chosen.
            instance.model = ""
            log.info("models unloaded", extra=facts(instance=instance.url, status=reply.status))
        except ArtlabError as error:
            why = facts(instance=instance.url, why=error.message)
            log.warning("models not unloaded", extra=why)

    async def _unload_language_models(self, ollama: Rest) -> list[str]:
        loaded = await ollama.get("/api/ps", timeout_seconds=OLLAMA_TIMEOUT_SECONDS)
        models = _names(loaded.object())[:MAX_MODELS]
        for model in models:
            # No prompt and no time to keep it: it goes as soon as nobody talks to it.
            await ollama.post(
                "/api/generate",
                {"model": model, "keep_alive": 0, "stream": False},
                timeout_seconds=OLLAMA_TIMEOUT_SECONDS,
            )
        return models


def _names(answer: dict[str, Any]) -> list[str]:
    models = answer.get("models")
    named = [model.get("name") for model in models or () if isinstance(model, dict)]
    return [name for name in named if isinstance(name, str) and 0 < len(name) <= 200]


def _same_host(one: Address, other: Address) -> bool:
    return one.host == other.host or {one.host, other.host} <= _LOOPBACK
