"""ComfyUI as a backend: choose an instance, run the job there, hand over its bytes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from services.kit.clock import Clock
from services.kit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    Unavailable,
)
from services.kit.log import facts
from services.media.comfy.address import SETTING, parse_address
from services.media.comfy.course import Course
from services.media.comfy.download import Download
from services.media.comfy.errors import execution_failed, interrupted, no_output
from services.media.comfy.history import files_of, parse_entry
from services.media.comfy.instance import Instance, Look
from services.media.comfy.placement import Placement
from services.media.domain.output_config import OutputConfig
from services.media.domain.png_text import without_texts
from services.media.domain.workflow import Workflow
from services.media.ports import Product, RenderJob, Report

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0
NEEDS_IMAGE = "needs an input image, and none can be sent along yet"
_SHORTEST_REDACTED = 4


class ComfyBackend:
    """Renders output configs that name a ComfyUI workflow. Between `start` and `close`.

    Args:
        urls: `http://host:port` of each instance; none is allowed and means not available.
        max_media_bytes: larger outputs are refused while they arrive.
        clock: for waiting.
        allow_remote: accept hosts that are neither loopback nor private.

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
    ) -> None:
        addresses = dict.fromkeys(parse_address(url, allow_remote=allow_remote) for url in urls)
        self._max_media_bytes = max_media_bytes
        self._clock = clock
        self._instances = tuple(Instance(address, clock) for address in addresses)
        self._placement = Placement(self._instances, clock)
        self._stopping: set[asyncio.Task[bool]] = set()

    async def start(self) -> None:
        """Say which instances answer; the service starts whether they do or not."""
        lengths = await asyncio.gather(*(i.queue_length() for i in self._instances))
        for instance, length in zip(self._instances, lengths, strict=True):
            log.info(
                "comfyui instance", extra=facts(instance=instance.url, answers=length is not None)
            )

    async def close(self) -> None:
        """Finish the cancellations under way, end websockets and threads."""
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=STOP_SECONDS)
        await asyncio.gather(*(instance.close() for instance in self._instances))

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """Why no instance can make this output now, for people; None when one can."""
        if not self._instances:
            return f"set {SETTING} to use ComfyUI"
        if config.image_slots:
            return NEEDS_IMAGE
        able, problem = await self._placement.able(_workflow_of(config))
        return None if able else problem.message

    async def render(self, job: RenderJob, report: Report) -> Product:
        """Make one output; see `services.media.ports.Backend`.

        Raises COMFY_UNAVAILABLE, COMFY_MODEL_MISSING, COMFY_NODE_MISSING, COMFY_REJECTED,
        COMFY_FORBIDDEN, COMFY_TOO_LARGE, COMFY_EXECUTION, COMFY_OOM, COMFY_INTERRUPTED,
        COMFY_LOST, COMFY_STALLED, COMFY_NO_OUTPUT, COMFY_PROTOCOL, COMFY_WORKFLOW_UNFIT,
        OUTPUT_NOT_AVAILABLE, DEADLINE.
        """
        if job.config.image_slots:
            raise FailedPrecondition("OUTPUT_NOT_AVAILABLE", NEEDS_IMAGE)
        workflow = _workflow_of(job.config).chained(job.values)
        course: Course | None = None
        finished = False
        try:
            async with asyncio.timeout(job.config.deadline_seconds) as deadline:
                entry, cause = None, None
                while entry is None:
                    instance, look, prompt_id = await self._placement.place(workflow, job, cause)
                    # A prefix of its own, or ComfyUI's cache names a file of an earlier job.
                    prefix = f"artlab/{prompt_id}"
                    graph = workflow.fill(
                        prompt=job.prompt, seed=job.seed, values=job.values, prefix=prefix
                    )
                    course = Course(instance, workflow, graph, prompt_id, report, self._clock)
                    try:
                        entry = await _unless_taken_back(course, look)
                    except Unavailable as error:
                        # Once: what is lost a second time may be what ComfyUI dies of.
                        again = cause is None or course.adopted
                        if not again or not await self._may_go_elsewhere(course, error):
                            raise
                        log.info("job moves", extra=facts(prompt_id=prompt_id, why=error.reason))
                        cause = error
                finished = True
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DeadlineExceeded(
                "DEADLINE", f"not done within {job.config.deadline_seconds:g} s"
            ) from error
        finally:
            if course is not None and not finished:
                await self._stop(course)
        return self._product(instance, workflow, prompt_id, job, entry)

    async def _stop(self, course: Course) -> bool:
        # A task of its own: whoever cancels us may do so twice, the job must stop nonetheless.
        task = asyncio.create_task(course.stop(), name=f"stop {course.prompt_id}")
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        await asyncio.wait({task}, timeout=STOP_SECONDS)
        return task.done() and task.result()

    async def _may_go_elsewhere(self, course: Course, error: Unavailable) -> bool:
        """Whether the job will certainly not be run any more where it was handed in."""
        if error.reason == "COMFY_LOST":
            return True
        return error.reason == "COMFY_STALLED" and await self._stop(course)

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
        files = files_of(ending.outputs, workflow.output_node)
        if not files:
            raise no_output("the job ended well but its node left no file", prompt_id=prompt_id)
        download = Download(instance.address, files[0], self._max_media_bytes)
        return Product(
            read=download.open if job.config.keep_metadata else partial(_without_texts, download),
            backend=self.name,
            model=ending.model or workflow.model,
            metadata={
                "workflow": workflow.name,
                "prompt_id": prompt_id,
                "filename": files[0].filename,
                "files": str(len(files)),
            },
        )


@contextmanager
def _without_texts(download: Download) -> Iterator[Iterator[bytes]]:
    with download.open() as chunks:
        yield without_texts(chunks)


async def _unless_taken_back(course: Course, look: Look) -> Mapping[str, Any] | None:
    """Run the course; None when the job was taken up here, and who began it has stopped it."""
    entry = await course.run(look)
    if course.adopted and parse_entry(entry).kind == "interrupted":
        log.info("job taken back", extra=facts(prompt_id=course.prompt_id))
        return None
    return entry


def _workflow_of(config: OutputConfig) -> Workflow:
    workflow = config.backend_options.get("workflow")
    if not isinstance(workflow, Workflow):
        raise Internal("CONFIG_WITHOUT_WORKFLOW", f"{config.name} has no workflow")
    return workflow


def _redact(detail: str, job: RenderJob) -> str:
    texts = [job.prompt, *(value for value in job.values.values() if isinstance(value, str))]
    for text in texts:
        if len(text) >= _SHORTEST_REDACTED:
            detail = detail.replace(text, "…")
    return detail
