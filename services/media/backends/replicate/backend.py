"""Pictures, sounds and films by models on Replicate: a prediction is created, followed, fetched.

A lost answer is no lost prediction: it is looked for among the newest ones by its input, which no
other output has, before another is created. `Cancel-After` ends it there even when this process is
gone.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from services.kit.errors import Cancelled
from services.kit.near import is_near
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.api import Api
from services.media.backends.hosted.backend import HostedBackend, Limits
from services.media.backends.hosted.errors import blocked, failed, no_output
from services.media.backends.hosted.options import SIDES, nearest, options_of
from services.media.backends.hosted.outside import OutsideFiles
from services.media.backends.replicate.course import Course
from services.media.backends.replicate.options import ReplicateOptions
from services.media.backends.replicate.prediction import Prediction
from services.media.ports import Product, RenderJob, RenderProgress, Report

NAME = "replicate"
# The API holds an answer back for up to 60 s.
SILENCE_SECONDS = 75.0
STOP_SECONDS = 5.0
MAX_JSON_BYTES = 8 * 1024 * 1024
MAX_OUTPUTS = 16
SEEDS = 2**31
# More than are listed of the few minutes that are looked through.
REMEMBERED_PREDICTIONS = 4096


class ReplicateBackend(HostedBackend):
    """One prediction a job; see `HostedBackend`."""

    name = NAME

    def __init__(self, account: Account, limits: Limits) -> None:
        super().__init__(account, limits)
        self._api = Api(
            account,
            silence_seconds=limits.silence_seconds or SILENCE_SECONDS,
            max_json_bytes=MAX_JSON_BYTES,
        )
        self._stopping: set[asyncio.Task[None]] = set()
        # Predictions of our jobs, the newest last, so that none is taken for another job's.
        self._taken: dict[str, None] = {}

    async def close(self) -> None:
        """Finish the cancellations under way, then close all connections."""
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=STOP_SECONDS)
        await self._api.aclose()

    async def _make(self, job: RenderJob, report: Report) -> Product:
        options = options_of(job.config, ReplicateOptions)
        asked = _input(options, job)
        course = Course(
            self._api,
            self._patience,
            self.title,
            options.model,
            asked,
            job.config.deadline_seconds,
            self._taken,
        )
        try:
            prediction = await course.run(report)
        finally:
            await self._let_go(course)
        report(RenderProgress("downloading", 0.9))
        return self._product(prediction, options, job)

    async def _let_go(self, course: Course) -> None:
        if course.open:
            # A task of its own: whoever cancels us may do so twice.
            task = asyncio.create_task(course.stop(), name="stop a prediction")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
            await asyncio.wait({task}, timeout=STOP_SECONDS)
        while len(self._taken) > REMEMBERED_PREDICTIONS:
            del self._taken[next(iter(self._taken))]

    def _product(
        self, prediction: Prediction, options: ReplicateOptions, job: RenderJob
    ) -> Product:
        if prediction.blocked:
            raise blocked(self.title)
        if prediction.status in ("canceled", "aborted"):
            raise Cancelled("BACKEND_INTERRUPTED", f"the job was cancelled at {self.title}")
        if prediction.status == "failed":
            raise failed(self.title, "says that the model failed")
        if not prediction.output:
            raise no_output(self.title, "gave no file")
        host = urlsplit(self.account.base_url).hostname or ""
        inside = is_near(host)
        files = OutsideFiles(
            title=self.title,
            hosts=(*options.output_hosts, host) if inside else options.output_hosts,
            max_bytes=self._limits.max_media_bytes,
            inside=inside,
        )
        told = {"prediction": prediction.id, "model_seed": str(job.seed % SEEDS)}
        if prediction.predict_seconds is not None:
            told["predict_seconds"] = f"{prediction.predict_seconds:.3g}"
        products = [
            Product(read=files.file(url).open, backend=NAME, model=options.model, metadata=told)
            for url in prediction.output[:MAX_OUTPUTS]
        ]
        first = products[0]
        return Product(
            read=first.read,
            backend=NAME,
            model=options.model,
            metadata=told,
            others=tuple(products[1:]),
        )


def _input(options: ReplicateOptions, job: RenderJob) -> dict[str, object]:
    values: dict[str, Any] = dict(job.values)
    ratio = nearest(options.aspect_ratios, job.values, ":")
    if ratio is not None:
        values = {name: value for name, value in values.items() if name not in SIDES}
        values["aspect_ratio"] = ratio
    values |= {"prompt": job.prompt, "seed": job.seed % SEEDS}
    named = {options.input_of(name): value for name, value in values.items()}
    named.pop("", None)
    return {**options.parameters, **named}
