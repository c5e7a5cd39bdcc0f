"""Pictures by Hugging Face inference: one request, raw bytes in the answer.

A model that is not loaded answers 503 with the time it will take. The API cannot be asked what
became of a request, so a lost answer is not asked for again.
"""

from __future__ import annotations

from dataclasses import replace

from services.media.backends.hosted.account import Account
from services.media.backends.hosted.api import Api
from services.media.backends.hosted.backend import HostedBackend, Limits
from services.media.backends.hosted.errors import no_output
from services.media.backends.hosted.options import options_of
from services.media.backends.hosted.patience import Patience
from services.media.backends.hosted.spool import OnceOnly
from services.media.backends.huggingface.options import HuggingFaceOptions
from services.media.ports import Product, RenderJob, RenderProgress, Report

NAME = "huggingface"
SILENCE_SECONDS = 300.0
SEEDS = 2**31
# Loading a large model takes minutes; who asks for more than this is not waited for.
LONGEST_LOADING_SECONDS = 180.0


class HuggingFaceBackend(HostedBackend):
    """One picture a job; see `HostedBackend`."""

    name = NAME

    def __init__(self, account: Account, limits: Limits) -> None:
        patience = limits.patience or Patience(longest_pause_seconds=LONGEST_LOADING_SECONDS)
        super().__init__(account, replace(limits, patience=patience))
        self._api = Api(
            account,
            silence_seconds=limits.silence_seconds or SILENCE_SECONDS,
            max_file_bytes=limits.max_media_bytes,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._api.aclose()

    async def _make(self, job: RenderJob, report: Report) -> Product:
        options = options_of(job.config, HuggingFaceOptions)
        seed = job.seed % SEEDS
        parameters = {
            **options.parameters,
            **{options.slot_inputs[slot]: value for slot, value in job.values.items()},
            "seed": seed,
        }
        body = {"inputs": job.prompt, "parameters": parameters}
        spool = await self._patience.ask(
            lambda: self._api.file(
                f"/{options.model}",
                body,
                {"accept": "image/png"},
                OnceOnly(self._limits.max_media_bytes, self._limits.spool),
            )
        )
        report(RenderProgress("downloading", 1.0))
        if not spool.size:
            raise no_output(self.title, "gave a picture without a byte")
        return Product(
            read=spool.open,
            backend=NAME,
            model=options.model,
            size_bytes=spool.size,
            metadata={"model_seed": str(seed)},
        )
