"""Renders a job by its config or, when that one cannot, by what takes over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.kit.errors import ArtlabError, FailedPrecondition, NotFound
from services.kit.ids import UploadName
from services.kit.log import facts
from services.media.domain.fallback import another_may_help, carried_over, chain_of, upload_for
from services.media.domain.output_config import OutputConfig, Value
from services.media.ports import Backend, Product, RenderJob, RenderProgress, Report, Resuming

log = logging.getLogger(__name__)

FALLBACK_FROM = "fallback_from"
NOT_AVAILABLE = "OUTPUT_NOT_AVAILABLE"
REMOTE = "OUTPUT_REMOTE"
NOT_FOUND = "LATE_RESULT_NOT_FOUND"
# What says that a config was not even tried.
_NOT_BEGUN = (NOT_AVAILABLE, REMOTE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was made, and the job as it was really done: its config, its values."""

    job: RenderJob
    product: Product


class FallbackChains:
    """Knows which config of a chain can run.

    Args:
        configs: every output config by name; their chains hold (`check_chains`).
        backends: by name.
    """

    def __init__(
        self, configs: Mapping[str, OutputConfig], backends: Mapping[str, Backend]
    ) -> None:
        self._configs, self._backends = configs, backends

    async def able(self, config: OutputConfig) -> tuple[OutputConfig | None, str | None]:
        """The first of its chain that can run now, and why the config itself cannot, if so."""
        own = await self._reason(config)
        if own is None:
            return config, None
        for other in chain_of(config, self._configs)[1:]:
            if await self._reason(other) is None:
                return other, own
        return None, own

    async def render(self, job: RenderJob, given: Mapping[str, Value], report: Report) -> Rendered:
        """Make the output of a job, by the first config of its chain that can.

        `given` is what the request set. The caller keeps the time for all of them together. What
        took over is told in the product's metadata. Raises what the first one raised that failed,
        else OUTPUT_NOT_AVAILABLE or OUTPUT_REMOTE.
        """
        passed: list[str] = []
        failure: ArtlabError | None = None
        for config in chain_of(job.config, self._configs):
            tried = job if config is job.config else _taken_over(job, config, given)
            error = await self._unavailable(tried)
            if error is None:
                try:
                    product = await self._backends[config.backend].render(tried, report)
                    return Rendered(tried, _noted(product, tried, passed))
                except ArtlabError as raised:
                    if not another_may_help(raised):
                        raise
                    error = raised
            passed.append(f"{config.name} ({error.reason})")
            # What failed at work says more than what could not begin.
            if failure is None or (failure.reason in _NOT_BEGUN and error.reason not in _NOT_BEGUN):
                failure = error
            log.info("config cannot", extra=facts(config=config.name, reason=error.reason))
            report(RenderProgress("queued"))
        assert failure is not None  # a chain holds at least the config itself
        if len(passed) > 1:
            failure.metadata["tried"] = ", ".join(passed)
        raise failure

    async def adopt(self, job: RenderJob, given: Mapping[str, Value]) -> Rendered:
        """Take what an earlier attempt has made, by whichever config of the chain; begin nothing.

        Nobody elsewhere is asked about a job that may not leave: none was begun there.

        Raises NotFound LATE_RESULT_NOT_FOUND, and what the backends raise.
        """
        chain = chain_of(job.config, self._configs)
        jobs = [
            job if config is job.config else _taken_over(job, config, given) for config in chain
        ]
        products = await asyncio.gather(*(self._adopted(one) for one in jobs))
        passed: list[str] = []
        for one, product in zip(jobs, products, strict=True):
            if product is not None:
                return Rendered(one, _noted(product, one, passed))
            passed.append(f"{one.config.name} ({NOT_FOUND})")
        raise NotFound(NOT_FOUND, "no earlier attempt has made this output")

    async def stop(self, upload: UploadName) -> bool:
        """Stop what an earlier life of this service, or a copy of it, has begun for an output.

        Whether that stopped it.
        """
        names = dict.fromkeys(
            (upload, *(upload_for(upload, config) for config in self._configs.values()))
        )
        backends: list[object] = list(self._backends.values())
        stopped = await asyncio.gather(
            *(one.stop(names) for one in backends if isinstance(one, Resuming))
        )
        return any(stopped)

    async def _adopted(self, job: RenderJob) -> Product | None:
        backend: object = self._backends.get(job.config.backend)
        if self._may_not_leave(job):
            return None
        return await backend.adopt(job) if isinstance(backend, Resuming) else None

    def _may_not_leave(self, job: RenderJob) -> bool:
        """Whether making it here would take it to a machine it may not reach."""
        backend = self._backends.get(job.config.backend)
        return job.local_only and backend is not None and backend.remote

    async def _unavailable(self, job: RenderJob) -> ArtlabError | None:
        if self._may_not_leave(job):
            return FailedPrecondition(
                REMOTE,
                f"{job.config.name} is made on somebody else's machine, and nothing of this may "
                "leave one's own",
                metadata={"output_config": job.config.name},
            )
        reason = await self._reason(job.config)
        if reason is None or await self._began(job.config, job.upload):
            return None
        return FailedPrecondition(NOT_AVAILABLE, reason)

    async def _reason(self, config: OutputConfig) -> str | None:
        backend = self._backends.get(config.backend)
        if backend is None:
            return f"there is no backend {config.backend} here"
        return await backend.unavailable_reason(config)

    async def _began(self, config: OutputConfig, upload: UploadName) -> bool:
        backend: object = self._backends.get(config.backend)
        return isinstance(backend, Resuming) and await backend.began(upload)


def _taken_over(job: RenderJob, config: OutputConfig, given: Mapping[str, Value]) -> RenderJob:
    return replace(
        job,
        upload=upload_for(job.upload, config),
        config=config,
        values=carried_over(given, config),
        images={name: job.images[name] for name in config.image_slots if name in job.images},
    )


def _noted(product: Product, job: RenderJob, passed: list[str]) -> Product:
    """The product with what was passed over, and what it cost unless the API told."""
    told = dict(product.metadata)
    cost = job.config.cost
    if cost is not None and "cost_amount" not in told:
        told |= {"cost_amount": str(cost.amount), "cost_currency": cost.currency}
    if passed:
        told[FALLBACK_FROM] = ", ".join(passed)
    others = tuple(_noted(other, job, passed) for other in product.others)
    return replace(product, metadata=told, others=others)
