"""Pictures by the OpenAI Images API, as its GPT image models give them: base64 in one answer.

The module imports the `openai` client, which is slow to load: it is imported where a key is set.
The API has no way to ask what became of a request, so a lost answer is not asked for again: it may
have been made, and be paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import openai

from services.media.backends.hosted.account import Account
from services.media.backends.hosted.backend import Limits, idempotency_key
from services.media.backends.hosted.errors import no_output
from services.media.backends.hosted.openai_backend import OpenAIBackend
from services.media.backends.hosted.openai_errors import client_errors
from services.media.backends.hosted.options import nearest, options_of
from services.media.backends.hosted.spool import OnceOnly, spool_base64
from services.media.backends.openai_images.options import OpenAIImagesOptions
from services.media.domain.request import written
from services.media.ports import Product, RenderJob, RenderProgress, Report

NAME = "openai_images"
# A large picture in high quality takes up to two minutes, and nothing is heard meanwhile.
SILENCE_SECONDS = 300.0


class OpenAIImagesBackend(OpenAIBackend):
    """One picture a job; see `HostedBackend`."""

    name = NAME

    def __init__(self, account: Account, limits: Limits) -> None:
        super().__init__(account, limits, silence_seconds=SILENCE_SECONDS)

    async def _make(self, job: RenderJob, report: Report) -> Product:
        options = options_of(job.config, OpenAIImagesOptions)
        asked: dict[str, object] = {
            name: written(job.values[slot])
            for slot, name in options.slot_inputs.items()
            if name and slot in job.values
        }
        size = nearest(options.sizes, job.values, "x")
        if size is not None:
            asked["size"] = size

        async def generate() -> openai.types.ImagesResponse:
            with client_errors(self.account):
                return await self._client.images.generate(
                    model=options.model,
                    prompt=job.prompt,
                    n=1,
                    extra_body={
                        **asked,
                        "output_format": options.output_format,
                        "moderation": options.moderation,
                    },
                    extra_headers={"idempotency-key": idempotency_key(job)},
                )

        answer = await self._patience.ask(generate)
        report(RenderProgress("downloading", 0.9))
        with client_errors(self.account):
            encoded = answer.data[0].b64_json if answer.data else None
        if not encoded:
            raise no_output(self.title, "gave no picture")
        spool = await asyncio.to_thread(
            spool_base64, encoded, self._limits.max_media_bytes, self._limits.spool, self.title
        )
        return _product(spool, options.model, asked, answer)


def _product(
    spool: OnceOnly, model: str, asked: Mapping[str, object], answer: openai.types.ImagesResponse
) -> Product:
    facts = {name: str(value) for name, value in asked.items()}
    if answer.usage is not None and isinstance(answer.usage.total_tokens, int):
        facts["tokens"] = str(answer.usage.total_tokens)
    return Product(
        read=spool.open, backend=NAME, model=model, size_bytes=spool.size, metadata=facts
    )
