"""Stage 4: the renderer makes an output and the recorder has it; then it is looked at.

What is seen is looked at (`image_check`) at levels that ask for it, and what is written is judged
(`code_check`, `text_check`), before the output is final.
"""

from __future__ import annotations

import logging
from contextlib import aclosing

from services.kit.errors import ArtlabError, FailedPrecondition
from services.kit.log import facts
from services.orchestrator.code_check import CodeCheck
from services.orchestrator.domain.documents import blocking
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import (
    RecordedEntity,
    RenderPreview,
    RenderProgress,
    RenderWarning,
)
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.image_check import ImageCheck, made_of
from services.orchestrator.patience import peer_is_away
from services.orchestrator.ports import MediaJob
from services.orchestrator.run_in_work import Blocked, RunInWork, digest_of
from services.orchestrator.steps.place import RENDERING, output_of, run_of, service, text_in
from services.orchestrator.steps.pre_output_safety import TEXT_SHA256
from services.orchestrator.steps.rendering import Rendering

log = logging.getLogger(__name__)

TYPE = "media_generation"
# How many files an output has, as media says in the metadata of each when there are several.
FILES = "files"


class MediaGeneration:
    """Takes `text`, which stage 3 has found safe; makes the one result of an output of it."""

    TAKES = frozenset({"text"})
    GIVES = frozenset({"index", "config", "kind"})

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return the output when it is recorded and looked at. Raises Blocked for a recorded no."""
        run, text = run_of(scope), text_in(inputs, scope)
        output = output_of(scope, run)
        made = run.record.made(output.index)
        checks = checks_of(run, output, text)
        for check in checks:
            no = await check.recorded_refusal(made)
            if no is not None:
                raise Blocked(4, no)
        if not is_complete(made):
            return None
        for check in checks:
            if not await check.was_made(made):
                return None
        return _given(output)

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Make, record and check one output.

        Raises Blocked, an ArtlabError when one of it could not be done, FailedPrecondition
        TEXT_NOT_CHECKED for a text that stage 3 has not found safe for this output.
        """
        run, text = run_of(scope), text_in(inputs, scope)
        output = output_of(scope, run)
        if not is_complete(run.record.made(output.index)):
            # The verdict is recorded with it, if it is not yet.
            await run.journal.stage(4, scope.step, output.index)
            await require_checked(run, output, text)
            await render(run, service(scope, RENDERING, Rendering), job_of(run, output, text))
        await look(run, output, text)
        return _given(output)


async def look(run: RunInWork, output: PlannedOutput, text: str) -> None:
    """Have judged what was made. Raises Blocked, or an ArtlabError for no answer."""
    checks = [check for check in checks_of(run, output, text) if check.is_needed]
    if not checks:
        return
    made = await made_of(run, output)
    for check in checks:
        no = await check.make(made)
        if no is not None:
            raise Blocked(4, no)


def checks_of(
    run: RunInWork, output: PlannedOutput, text: str
) -> tuple[ImageCheck | CodeCheck, ...]:
    """Return how an output that was made of a text may have to be looked at."""
    return ImageCheck(run, output), CodeCheck(run, output, text)


async def require_checked(run: RunInWork, output: PlannedOutput, text: str) -> None:
    """Raise FailedPrecondition TEXT_NOT_CHECKED unless the record says that this text is safe."""
    digest, safe = digest_of(text), False
    for entity in run.record.every("safety_pre_output", output.index):
        if entity.metadata.get(TEXT_SHA256) == digest:
            safe = blocking(await run.record.verdicts(entity)) is None
            if not safe:
                break
    if not safe:
        raise FailedPrecondition(
            "TEXT_NOT_CHECKED",
            "nothing is made of a text that stage 3 has not found safe for this output",
            metadata={"output_config": output.config},
        )


def is_complete(made: list[RecordedEntity]) -> bool:
    """Whether all files of an output are recorded."""
    if not made:
        return False
    told = made[0].metadata.get(FILES, "1")
    return not told.isdecimal() or len(made) >= int(told)


def job_of(run: RunInWork, output: PlannedOutput, text: str) -> MediaJob:
    """Return the job that makes an output of a text."""
    request = run.plan.request
    return MediaJob(
        run_id=run.plan.run_id,
        output=output,
        prompt=text,
        recipe=run.plan.recipe.name,
        user_id=request.user_id,
        input_images=dict(zip(output.image_slots, run.record.input_images(), strict=False)),
        allow_reuse=request.allow_reuse,
        epoch=run.epoch,
        local_only=run.plan.recipe.local_only,
    )


async def render(run: RunInWork, rendering: Rendering, job: MediaJob) -> None:
    """Have media do a job, and pass on what it says on its way."""
    rendering.begins(job)
    try:
        await run.journal.settled()
        await run.steady(lambda: _follow(run, job))
    except ArtlabError as error:
        if peer_is_away(error):
            # Its job may go on, and must not write into what is over.
            await rendering.stop(job.output)
        rendering.ended(job.output)
        raise
    rendering.ended(job.output)


async def _follow(run: RunInWork, job: MediaJob) -> None:
    index = job.output.index
    async with aclosing(run.services.media.generate(job)) as updates:
        async for update in updates:
            match update:
                case RenderProgress():
                    run.hints.render(index, update)
                case RenderPreview():
                    # Nobody may see it at a level whose pictures are checked.
                    if not run.plan.checks_images:
                        run.hints.preview(index, update)
                case RenderWarning():
                    await warn(run, index, update)


async def warn(run: RunInWork, output_index: int, warning: RenderWarning) -> None:
    """Record a warning; it ends nothing, and neither does its loss."""
    try:
        await run.journal.warning(output_index, warning)
    except ArtlabError as problem:
        log.warning("warning not recorded", extra=facts(reason=problem.reason))


def _given(output: PlannedOutput) -> JsonObject:
    return {"index": output.index, "config": output.config, "kind": output.kind}
