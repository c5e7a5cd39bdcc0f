"""Pictures by a chat API whose models answer with them, as OpenRouter does: data URLs.

The module imports the `openai` client, which is slow to load: it is imported where a key is set.
Like the Images API it cannot be asked what became of a request, so a lost answer is not asked for
again.
"""

from __future__ import annotations

import asyncio
from typing import Any

import openai.types.chat

from services.media.backends.hosted.account import Account
from services.media.backends.hosted.backend import Limits, idempotency_key
from services.media.backends.hosted.errors import (
    blocked,
    from_status,
    no_output,
    protocol_error,
)
from services.media.backends.hosted.openai_backend import OpenAIBackend
from services.media.backends.hosted.openai_errors import client_errors
from services.media.backends.hosted.options import nearest, options_of
from services.media.backends.hosted.spool import spool_data_url
from services.media.backends.openrouter.options import OpenRouterOptions
from services.media.ports import Product, RenderJob, RenderProgress, Report

NAME = "openrouter"
SILENCE_SECONDS = 300.0
MAX_NAME_CHARACTERS = 200
# Servers differ in how large a seed may be; 31 bits fit all.
SEEDS = 2**31

Completion = openai.types.chat.ChatCompletion


class OpenRouterBackend(OpenAIBackend):
    """One picture a job; see `HostedBackend`."""

    name = NAME

    def __init__(self, account: Account, limits: Limits) -> None:
        super().__init__(account, limits, silence_seconds=SILENCE_SECONDS)

    async def _make(self, job: RenderJob, report: Report) -> Product:
        options = options_of(job.config, OpenRouterOptions)
        ratio = nearest(options.aspect_ratios, job.values, ":")
        facts = {"model_seed": str(job.seed % SEEDS)}
        # The client does not know what is beyond OpenAI's own API.
        further: dict[str, object] = {
            "modalities": list(options.modalities),
            "usage": {"include": True},
        }
        if ratio is not None:
            further["image_config"] = {"aspect_ratio": ratio}
            facts["aspect_ratio"] = ratio

        async def complete() -> Completion:
            with client_errors(self.account):
                completion = await self._client.chat.completions.create(
                    model=options.model,
                    messages=[{"role": "user", "content": job.prompt}],
                    seed=job.seed % SEEDS,
                    stream=False,
                    extra_body=further,
                    extra_headers={"idempotency-key": idempotency_key(job)},
                )
                self._raise_error_inside(completion)
                return completion

        completion = await self._patience.ask(complete)
        report(RenderProgress("downloading", 0.9))
        with client_errors(self.account):
            url = self._picture(completion)
        spool = await asyncio.to_thread(
            spool_data_url, url, self._limits.max_media_bytes, self._limits.spool, self.title
        )
        return Product(
            read=spool.open,
            backend=NAME,
            model=_model(completion) or options.model,
            size_bytes=spool.size,
            metadata={**facts, **_cost(completion)},
        )

    def _raise_error_inside(self, completion: Completion) -> None:
        """An error after the model began comes with status 200."""
        told = (completion.model_extra or {}).get("error")
        if isinstance(told, dict):
            code = told.get("code")
            status = code if type(code) is int and 400 <= code < 600 else 502
            raise from_status(self.title, self.account.key_setting, status, {}, {"error": told})

    def _picture(self, completion: Completion) -> str:
        choices: Any = completion.choices
        if not choices:
            raise protocol_error(self.title, "has no choice")
        message = choices[0].message
        images = (message.model_extra or {}).get("images")
        if not images:
            if choices[0].finish_reason == "content_filter" or message.refusal:
                raise blocked(self.title)
            raise no_output(self.title, "answered with words and no picture")
        url = images[0]["image_url"]["url"]
        if not isinstance(url, str):
            raise protocol_error(self.title, "holds something other than a picture in base64")
        return url


def _model(completion: Completion) -> str:
    name: object = completion.model
    if not isinstance(name, str):
        return ""
    return "".join(c for c in name if c.isprintable())[:MAX_NAME_CHARACTERS]


def _cost(completion: Completion) -> dict[str, str]:
    """What OpenRouter says it took, in US dollars."""
    usage = completion.usage
    cost = (usage.model_extra or {}).get("cost") if usage is not None else None
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < 10_000:
        return {}
    return {"cost_amount": f"{cost:.6g}", "cost_currency": "USD"}
