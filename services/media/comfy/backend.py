"""ComfyUI as a backend: choose an instance, run the job there, hand over its bytes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.kit.clock import Clock
from services.kit.errors import (
    DeadlineExceeded,
    NotFound,
    Unavailable,
)
from services.kit.ids import UploadName
from services.kit.log import facts
from services.kit.near import is_near
from services.media.comfy.address import SETTING, parse_address
from services.media.comfy.adoption import Adoption
from services.media.comfy.calling_off import CallingOff
from services.media.comfy.course import Course
from services.media.comfy.errors import execution_failed, interrupted
from services.media.comfy.etiquette import Etiquette
from services.media.comfy.fitness import Fitness, workflow_of
from services.media.comfy.history import parse_entry
from services.media.comfy.input_images import names_of, sent
from services.media.comfy.instance import Instance
from services.media.comfy.journal import HandIn, Journal, MemoryJournal
from services.media.comfy.overview import instance_status, pool_status
from services.media.comfy.placement import Place, Placement
from services.media.comfy.pool import Pool
from services.media.comfy.previews import PreviewMaker
from services.media.comfy.products import Leavings
from services.media.comfy.recall import seated, unless_recalled, unless_taken_back
from services.media.comfy.resumption import Resumption
from services.media.comfy.stopping import Stopping
from services.media.domain.output_config import OutputConfig
from services.media.domain.workflow import Workflow
from services.media.ports import (
    BackendStatus,
    InstanceStatus,
    Product,
    RenderJob,
    RenderProgress,
    Report,
)

log = logging.getLogger(__name__)

_SHORTEST_REDACTED = 4


class ComfyBackend:
    """Renders output configs that name a ComfyUI workflow. Between `start` and `close`.

    Args:
        urls: `http://host:port` of each instance; none is allowed and means not available.
        max_media_bytes: larger outputs are refused while they arrive.
        clock: for waiting.
        allow_remote: accept hosts that are neither loopback nor private.
        max_waiting: more jobs than find a place on an instance are refused from here.
        journal: where hand-ins are written down, opened and closed by whoever made it.
        previews: ask for pictures of the work in progress.
        etiquette: what is unloaded before and after jobs; closed with the backend.

    Raises InvalidArgument INVALID_COMFYUI_URL.
    """

    name = "comfyui"

    def __init__(
        self,
        urls: Sequence[str],
        *,
        max_media_bytes: int,
        clock: Clock,
        allow_remote: bool = False,
        max_waiting: int = 64,
        journal: Journal | None = None,
        previews: bool = True,
        etiquette: Etiquette | None = None,
    ) -> None:
        addresses = dict.fromkeys(parse_address(url, allow_remote=allow_remote) for url in urls)
        self._max_media_bytes = max_media_bytes
        self._clock = clock
        self._previews = PreviewMaker() if previews else None
        self._instances = tuple(Instance(address, clock, self._previews) for address in addresses)
        self._fitness = Fitness(self._instances)
        self._pool = Pool(self._instances, self._fitness, clock, max_waiting)
        self._placement = Placement(self._instances, self._fitness, self._pool)
        self._journal = journal or MemoryJournal()
        self._resumption = Resumption(
            self._instances, self._journal, self._placement.is_usable, clock
        )
        self._etiquette = etiquette or Etiquette()
        self._stopping = Stopping(self._journal)
        self._calling_off = CallingOff(self._instances, self._journal)
        self._adoption = Adoption(self._journal, self._placement, clock)

    async def start(self) -> None:
        """Say which instances answer; the service starts whether they do or not."""
        await asyncio.gather(*(instance.health.check() for instance in self._instances))
        for instance in self._instances:
            answers = instance.health.answers
            log.info("comfyui instance", extra=facts(instance=instance.url, answers=answers))
        self._pool.start()

    async def close(self) -> None:
        """Finish the cancellations under way, end websockets, threads and processes."""
        await self._stopping.close()
        await self._pool.close()
        await self._etiquette.close()
        await asyncio.gather(*(instance.close() for instance in self._instances))
        if self._previews is not None:
            await self._previews.close()

    @property
    def remote(self) -> bool:
        """Whether any instance is on somebody else's machine: a job may get to each of them."""
        return any(not is_near(instance.address.host) for instance in self._instances)

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """Why no instance can make this output now, for people; None when one can."""
        if not self._instances:
            return f"set {SETTING} to use ComfyUI"
        fit = await self._fitness.of(workflow_of(config))
        return None if fit.able else fit.problem.message

    async def status(self, configs: Collection[OutputConfig]) -> BackendStatus:
        """See `services.media.ports.InstancePool`."""
        return await pool_status(self.name, self._instances, self._pool, configs)

    async def set_draining(self, url: str, draining: bool) -> InstanceStatus:
        """See `services.media.ports.InstancePool`. Raises NotFound INSTANCE_NOT_FOUND."""
        for instance in self._instances:
            if instance.url == url.rstrip("/"):
                self._pool.set_draining(instance, draining)
                self._etiquette.after(instance)
                return await instance_status(instance, ())
        known = ", ".join(instance.url for instance in self._instances) or "none"
        raise NotFound("INSTANCE_NOT_FOUND", f"no such instance; there are {known}", field="url")

    async def began(self, upload: UploadName) -> bool:
        """See `services.media.ports.Resuming`."""
        return await self._resumption.began(str(upload))

    async def stop(self, uploads: Collection[UploadName]) -> bool:
        """See `services.media.ports.Resuming`."""
        return await self._calling_off.stop(uploads)

    async def adopt(self, job: RenderJob) -> Product | None:
        """See `services.media.ports.Resuming`."""
        workflow = workflow_of(job.config).chained(job.values)
        found = await self._adoption.find(workflow, job)
        if found is None:
            return None
        product = self._product(found.instance, workflow, found.prompt_id, job, found.entry)
        late = {"late": "true"} if found.late else {}
        return replace(product, attempt=found.attempt, metadata={**product.metadata, **late})

    async def render(self, job: RenderJob, report: Report) -> Product:
        """Make one output; see `services.media.ports.Backend`.

        Raises COMFY_UNAVAILABLE, COMFY_MODEL_MISSING, COMFY_NODE_MISSING, COMFY_REJECTED,
        COMFY_FORBIDDEN, COMFY_TOO_LARGE, COMFY_EXECUTION, COMFY_OOM, COMFY_INTERRUPTED,
        COMFY_LOST, COMFY_STALLED, COMFY_NO_OUTPUT, COMFY_PROTOCOL, COMFY_WORKFLOW_UNFIT,
        INPUT_IMAGE_REQUIRED, MEDIA_BUSY, DEADLINE.
        """
        job.config.check_images(job.images)
        workflow = workflow_of(job.config).chained(job.values)
        course: Course | None = None
        place: Place | None = None
        earlier: tuple[Instance, HandIn] | None = None

        def tell(position: int) -> None:
            report(RenderProgress("queued", queue_position=position, attempt=attempt))

        finished = False
        unloaded: dict[str, str] = {}
        deadline_at = self._clock.now().timestamp() + job.config.deadline_seconds
        try:
            async with asyncio.timeout(job.config.deadline_seconds) as deadline:
                entry, cause = None, None
                earlier = await self._resumption.handed_in(str(job.upload))
                await self._stopping.call_off(job.upload)
                past = await self._resumption.recall(workflow, job)
                attempt, late = past.attempt, past.late
                if past.place is not None:
                    place = Place(*past.place, self._pool.sit(past.place[0], workflow))
                while entry is None:
                    if place is None:
                        place = await self._placement.place(
                            workflow, job, tell, again=course is not None, cause=cause
                        )
                    instance, prompt_id = place.instance, place.prompt_id
                    await self._stopping.call_off(job.upload, instance)
                    if course is not None and course.instance is not instance:
                        # It may be at work there yet, beyond a network that comes back.
                        self._stopping.begin(course)
                    # A prefix of its own, or ComfyUI's cache names a file of an earlier job.
                    prefix = f"artlab/{prompt_id}"
                    is_new = place.look.state == "unknown"
                    if is_new and (place.seat.was_waited_for or course is not None):
                        # Somebody may have stopped it meanwhile, at a copy of this service.
                        await job.standing.confirm()
                    images = await sent(instance, job.images) if is_new else names_of(job.images)
                    graph = workflow.fill(
                        prompt=job.prompt,
                        seed=job.seed,
                        values=job.values,
                        prefix=prefix,
                        images=images,
                    )
                    hand_in = HandIn(str(job.upload), prompt_id, instance.url, attempt, deadline_at)
                    if is_new:
                        unloaded |= await self._etiquette.before(instance)
                    told = seated(place.seat, report)
                    course = Course(
                        instance, workflow, graph, hand_in, self._journal, told, self._clock
                    )
                    try:
                        work = unless_taken_back(course, place.look)
                        entry = await unless_recalled(place.seat, course, work)
                        if entry is not None and place.look.entry is None:
                            # Some are over before anything was heard of them.
                            instance.health.works()
                    except Unavailable as error:
                        # Once: what is lost a second time may be what ComfyUI dies of.
                        again = cause is None or course.adopted
                        if not again or not await self._may_go_elsewhere(course, error):
                            raise
                        log.info("job moves", extra=facts(prompt_id=prompt_id, why=error.reason))
                        cause = error
                        attempt, late = attempt + 1, False
                    place.seat.release()
                    place = None
                finished = True
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DeadlineExceeded(
                "DEADLINE", f"not done within {job.config.deadline_seconds:g} s"
            ) from error
        finally:
            if course is None and earlier is not None:
                # Nobody waits until it is found again: it is stopped without.
                instance, hand_in = earlier
                course = Course(instance, workflow, {}, hand_in, self._journal, report, self._clock)
                course.adopted = True
            if course is not None and not finished and not job.standing.is_taken_over:
                await self._stopping.stop(course)
            if place is not None:
                place.seat.release()
            if course is not None:
                self._etiquette.after(course.instance)
        product = self._product(instance, workflow, prompt_id, job, entry)
        more = unloaded | (course.facts if course else {}) | ({"late": "true"} if late else {})
        log.info("executed", extra=facts(prompt_id=prompt_id, instance=instance.url, **more))
        return replace(product, attempt=attempt, metadata={**product.metadata, **more})

    async def _may_go_elsewhere(self, course: Course, error: Unavailable) -> bool:
        """Whether the job will certainly not be run any more where it was handed in."""
        if error.reason == "COMFY_LOST":
            return True
        return error.reason == "COMFY_STALLED" and await self._stopping.stop(course)

    def _product(
        self,
        instance: Instance,
        workflow: Workflow,
        prompt_id: str,
        job: RenderJob,
        entry: Mapping[str, Any],
    ) -> Product:
        ending = parse_entry(entry)
        if ending.kind == "interrupted":
            raise interrupted(ending.node)
        if ending.kind == "error":
            detail = _redact(ending.detail, job)
            raise execution_failed(ending.node, ending.node_type, ending.exception_type, detail)
        leavings = Leavings(
            outputs=ending.outputs,
            workflow=workflow,
            config=job.config,
            address=instance.address,
            max_media_bytes=self._max_media_bytes,
            backend=self.name,
            model=ending.model or workflow.model,
            metadata={"workflow": workflow.name, "prompt_id": prompt_id},
        )
        return leavings.product()


def _redact(detail: str, job: RenderJob) -> str:
    texts = [job.prompt, *(value for value in job.values.values() if isinstance(value, str))]
    for text in texts:
        if len(text) >= _SHORTEST_REDACTED:
            detail = detail.replace(text, "…")
    return detail
