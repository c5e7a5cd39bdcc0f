"""Where a job runs: found again where it is already, else given a seat in the pool."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.kit.errors import ArtlabError, FailedPrecondition, Unavailable
from services.kit.ids import UploadName
from services.media.comfy.address import SETTING
from services.media.comfy.download import view_path
from services.media.comfy.errors import UNAVAILABLE
from services.media.comfy.fitness import Fitness
from services.media.comfy.history import files_of, parse_entry, texts_of
from services.media.comfy.instance import Instance, Look
from services.media.comfy.pool import Pool, Tell
from services.media.comfy.seats import Seat
from services.media.domain.request import MAX_FILES
from services.media.domain.workflow import Workflow
from services.media.ports import RenderJob

# Namespace of our prompt ids; fixed, so that a job finds its prompt again after a restart.
_PROMPT_IDS = uuid.UUID("6f0c2f3e-6f1d-5d3b-9a54-6a4b1c7f2e90")
# Failures of one attempt that ComfyUI remembers, until the last of them is the answer.
MAX_REPEATS = 16
# Who waited no longer for a seat knows still where the job is.
LOOKED_SECONDS = 0.5


def prompt_id_of(upload: UploadName, repeat: int = 0) -> str:
    """The prompt id of one output: the same upload gives the same id.

    `repeat` counts the times it failed at ComfyUI: an id that stands in its history already
    would be answered from there.
    """
    return str(uuid.uuid5(_PROMPT_IDS, f"{upload}#1.{repeat}"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is or may be handed in, under which id; the seat is to be released."""

    instance: Instance
    look: Look
    prompt_id: str
    seat: Seat


@dataclass(frozen=True, slots=True)
class Found:
    """Where a job is already, if anywhere, and which instances could be asked."""

    prompt_id: str
    at: tuple[Instance, Look] | None
    asked: Sequence[Instance]
    all_asked: bool
    failure: ArtlabError | None


class Placement:
    """Finds jobs again, and asks the pool for a seat for the others."""

    def __init__(self, instances: Sequence[Instance], fitness: Fitness, pool: Pool) -> None:
        self._instances = instances
        self._fitness = fitness
        self._pool = pool

    async def place(
        self,
        workflow: Workflow,
        job: RenderJob,
        tell: Tell,
        *,
        again: bool = False,
        cause: Unavailable | None = None,
    ) -> Place:
        """Choose. A job that had a place before (`again`), lost because of `cause`, comes first.

        Raises the cause when no instance comes back, MEDIA_BUSY, and what keeps the instances
        from it: COMFY_UNAVAILABLE, COMFY_STALLED, COMFY_NODE_MISSING, COMFY_MODEL_MISSING,
        COMFY_WORKFLOW_UNFIT.
        """
        if not self._instances:
            raise FailedPrecondition(UNAVAILABLE, f"set {SETTING} to use ComfyUI")
        # One whose worker is dead does not come back by itself.
        may_wait = again and (cause is None or cause.reason == "COMFY_LOST")
        while True:
            fit = await self._fitness.of(workflow)
            found = await self.find(workflow, job)
            if found.at is not None:
                return self._adopt(workflow, found, *found.at)
            suited = [instance for instance in fit.suited if instance in found.asked]
            if not may_wait and not any(instance in fit.able for instance in suited):
                raise cause or found.failure or fit.problem
            began = self._now()
            instance, seat = await self._pool.seat(
                workflow, suited, job.user_id, tell, again=again, cause=cause
            )
            taken = False
            try:
                if self._now() - began > LOOKED_SECONDS or instance not in suited:
                    # Much may have happened meanwhile; it must not be handed in a second time.
                    found = await self.find(workflow, job)
                if found.at is not None:
                    return self._adopt(workflow, found, *found.at)
                if instance in found.asked:
                    taken = True
                    return Place(instance, Look("unknown"), found.prompt_id, seat)
            finally:
                if not taken:
                    seat.release()
            again = may_wait = True

    def _adopt(self, workflow: Workflow, found: Found, instance: Instance, look: Look) -> Place:
        # Of ours, from before a restart or of a call that was cut: taken up, whatever waits.
        return Place(instance, look, found.prompt_id, self._pool.sit(instance, workflow))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def find(self, workflow: Workflow, job: RenderJob) -> Found:
        """Look at every instance that answers, also at those that get no jobs now.

        Raises Unavailable when one goes away while it is asked for a job's files.
        """
        answering = [instance for instance in self._instances if instance.health.answers]
        failure: ArtlabError | None = None
        for repeat in range(MAX_REPEATS):
            prompt_id = prompt_id_of(job.upload, repeat)
            looks = await asyncio.gather(*(self._look(one, prompt_id) for one in answering))
            asked = [i for i, look in zip(answering, looks, strict=True) if isinstance(look, Look)]
            known = [
                (instance, look)
                for instance, look in zip(answering, looks, strict=True)
                if isinstance(look, Look) and look.state != "unknown"
            ]
            all_asked = len(asked) == len(self._instances)
            failure = next((look for look in looks if isinstance(look, ArtlabError)), failure)
            for instance, look in known:
                if look.entry is None or await self.is_usable(instance, workflow, look.entry):
                    return Found(prompt_id, (instance, look), asked, all_asked, failure)
            if not known:
                return Found(prompt_id, None, asked, all_asked, failure)
        return Found(prompt_id, known[0], asked, all_asked, failure)

    async def _look(self, instance: Instance, prompt_id: str) -> Look | ArtlabError:
        try:
            return await instance.look(prompt_id)
        except ArtlabError as error:
            instance.health.lost_contact()
            return error

    async def is_usable(
        self, instance: Instance, workflow: Workflow, entry: Mapping[str, Any]
    ) -> bool:
        """Whether a finished job left files that are all still there, or texts."""
        ending = parse_entry(entry)
        if ending.kind != "success":
            return False
        if workflow.makes_text:
            return bool(texts_of(ending.outputs, *workflow.output_nodes))
        files = files_of(ending.outputs, *workflow.output_nodes)[:MAX_FILES]
        replies = [await instance.rest.head(view_path(file)) for file in files]
        return bool(files) and all(reply.status == 200 for reply in replies)
