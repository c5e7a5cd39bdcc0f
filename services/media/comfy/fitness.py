"""Which instances can make the outputs of a workflow now, and what keeps the others from it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.kit.errors import (
    BY_CODE,
    ArtlabError,
    FailedPrecondition,
    Internal,
    Unavailable,
)
from services.media.comfy.errors import RETRY_SECONDS, UNAVAILABLE, Unreachable, stalled
from services.media.comfy.instance import Instance
from services.media.domain.output_config import OutputConfig
from services.media.domain.workflow import Workflow

_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Fit:
    """Who has everything that is needed, and who of these gets jobs; `problem`: why not others."""

    suited: tuple[Instance, ...]
    able: tuple[Instance, ...]
    problem: ArtlabError
    # One that is away may come back and be able; one that lacks something is as it is.
    may_return: bool
    # One that could make them is only being left alone.
    is_drained: bool


class Fitness:
    """Asks the instances. With `is_tended` somebody else looks after those that went away."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        self.is_tended = False

    async def of(self, workflow: Workflow) -> Fit:
        """Return who can make it, in the order of the settings."""
        found = await asyncio.gather(*(self._ask(one, workflow) for one in self._instances))
        problems = [problem for problem in found if problem is not None]
        pairs = list(zip(self._instances, found, strict=True))
        return Fit(
            suited=tuple(i for i, p in pairs if p is None or isinstance(p, _Closed)),
            able=tuple(instance for instance, problem in pairs if problem is None),
            problem=_joined(problems),
            may_return=any(isinstance(problem, Unavailable) for problem in problems),
            is_drained=any(isinstance(p, _Closed) and i.draining for i, p in pairs),
        )

    async def _ask(self, instance: Instance, workflow: Workflow) -> ArtlabError | None:
        health = instance.health
        # Whoever asks again waits for a machine that is off until the time is over.
        if not (self.is_tended and health.is_away):
            await health.check()
        if not health.answers:
            return Unreachable(instance.url)
        try:
            lacking = await instance.lacks(workflow)
        except ArtlabError as error:
            return error
        if lacking is not None:
            reason, sentence = lacking
            return FailedPrecondition(reason, f"{sentence} on {instance.url}")
        if instance.draining:
            sentence = f"{instance.url} is being drained"
            return _Closed(UNAVAILABLE, sentence, retry_after_seconds=RETRY_SECONDS)
        if health.is_stalled:
            sentence = stalled(instance.url).message
            return _Closed("COMFY_STALLED", sentence, retry_after_seconds=RETRY_SECONDS)
        return None


def workflow_of(config: OutputConfig) -> Workflow:
    """The workflow of a config of ComfyUI. Raises Internal CONFIG_WITHOUT_WORKFLOW."""
    workflow = config.backend_options.get("workflow")
    if not isinstance(workflow, Workflow):
        raise Internal("CONFIG_WITHOUT_WORKFLOW", f"{config.name} has no workflow")
    return workflow


class _Closed(Unavailable):
    """It has everything, and gets no jobs now."""


def _joined(problems: Sequence[ArtlabError]) -> ArtlabError:
    """One error that tells all of them; what lacks says more than what is switched off."""
    if not problems:
        return Unavailable(UNAVAILABLE, "no ComfyUI is free", retry_after_seconds=RETRY_SECONDS)
    first, *others = sorted(problems, key=lambda one: (one.reason == UNAVAILABLE, one.code))
    told = [first.message, *(one.message for one in others)]
    message = "; ".join(told[:_SHOWN]) + ("; …" if len(told) > _SHOWN else "")
    return BY_CODE[first.code](first.reason, message, retry_after_seconds=first.retry_after_seconds)
