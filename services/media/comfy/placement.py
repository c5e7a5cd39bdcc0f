"""Where a job runs: found again where it is already, else given to a free instance."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, FailedPrecondition, Unavailable
from services.media.comfy.address import SETTING
from services.media.comfy.download import view_path
from services.media.comfy.errors import RETRY_SECONDS, UNAVAILABLE
from services.media.comfy.history import files_of, parse_entry
from services.media.comfy.instance import Instance, Look
from services.media.domain.workflow import Workflow
from services.media.ports import RenderJob

# Namespace of our prompt ids; fixed, so that a job finds its prompt again after a restart.
_PROMPT_IDS = uuid.UUID("6f0c2f3e-6f1d-5d3b-9a54-6a4b1c7f2e90")
# Failures of one attempt that ComfyUI remembers, until the last of them is the answer.
MAX_REPEATS = 16
# How long a job that was lost waits for an instance to come back.
RETURN_SECONDS = 60.0
RETURN_LOOK_SECONDS = 0.5


def prompt_id_of(job: RenderJob, repeat: int = 0) -> str:
    """The prompt id of one attempt: the same job gives the same id, another attempt another.

    `repeat` counts the times it failed at ComfyUI: an id that stands in its history already
    would be answered from there.
    """
    return str(uuid.uuid5(_PROMPT_IDS, f"{job.upload}#{job.attempt}.{repeat}"))


class Placement:
    """Chooses among the instances."""

    def __init__(self, instances: Sequence[Instance], clock: Clock) -> None:
        self._instances = instances
        self._clock = clock

    async def place(
        self, workflow: Workflow, job: RenderJob, cause: Unavailable | None
    ) -> tuple[Instance, Look, str]:
        """Choose; a job that was lost because of `cause` waits until an instance is back.

        Raises the cause when none is.
        """
        until = self._clock.monotonic() + RETURN_SECONDS
        while True:
            try:
                return await self._choose(workflow, job)
            except Unavailable as error:
                if cause is None:
                    raise
                # One whose worker is dead does not come back by itself.
                if cause.reason != "COMFY_LOST" or self._clock.monotonic() > until:
                    raise cause from error
            await asyncio.sleep(RETURN_LOOK_SECONDS)

    async def _choose(self, workflow: Workflow, job: RenderJob) -> tuple[Instance, Look, str]:
        """Find the job where it is already, or the place where it may run, and its prompt id."""
        if not self._instances:
            raise FailedPrecondition(UNAVAILABLE, f"set {SETTING} to use ComfyUI")
        able, problem = await self.able(workflow)
        for repeat in range(MAX_REPEATS):
            prompt_id = prompt_id_of(job, repeat)
            looks = await asyncio.gather(
                *(instance.look(prompt_id) for _, instance in able), return_exceptions=True
            )
            places = [
                (instance, look)
                for (_, instance), look in zip(able, looks, strict=True)
                if isinstance(look, Look)
            ]
            failed = [look for look in looks if isinstance(look, BaseException)]
            if not places:
                raise failed[0] if failed else problem
            known = [place for place in places if place[1].state != "unknown"]
            # Of ours, from before a restart or of a call that was cut: taken up, not repeated.
            for instance, look in known:
                if look.entry is None or await self._is_usable(instance, workflow, look.entry):
                    return instance, look, prompt_id
            if not known:
                return *places[0], prompt_id
        return *known[0], prompt_id

    async def _is_usable(
        self, instance: Instance, workflow: Workflow, entry: Mapping[str, Any]
    ) -> bool:
        """Whether a finished job left a file that is still there."""
        ending = parse_entry(entry)
        files = files_of(ending.outputs, workflow.output_node)
        if ending.kind != "success" or not files:
            return False
        return (await instance.rest.head(view_path(files[0]))).status == 200

    async def able(self, workflow: Workflow) -> tuple[list[tuple[int, Instance]], ArtlabError]:
        """Instances that answer and lack nothing, shortest queue first; and why others don't."""
        checks = await asyncio.gather(
            *(self._check(instance, workflow) for instance in self._instances)
        )
        able = [
            (checked, instance)
            for checked, instance in zip(checks, self._instances, strict=True)
            if isinstance(checked, int)
        ]
        problems = [checked for checked in checks if isinstance(checked, ArtlabError)]
        # What lacks says more than what is switched off.
        problems.sort(key=lambda problem: problem.reason == UNAVAILABLE)
        problem = problems[0] if problems else Unavailable(UNAVAILABLE, "no ComfyUI is free")
        return sorted(able, key=lambda pair: pair[0]), problem

    async def _check(self, instance: Instance, workflow: Workflow) -> int | ArtlabError:
        length = await instance.queue_length()
        if length is None:
            return Unavailable(
                UNAVAILABLE,
                f"no ComfyUI answers at {instance.url}",
                retry_after_seconds=RETRY_SECONDS,
            )
        lacking = await instance.lacks(workflow)
        if lacking is not None:
            reason, sentence = lacking
            return FailedPrecondition(reason, f"{sentence} on {instance.url}")
        return length
