"""After the picture: whatever is seen of an output is looked at before anybody sees it."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import RecordedEntity, Verdict
from services.orchestrator.journal import Began
from services.orchestrator.run_in_work import RunInWork

log = logging.getLogger(__name__)

_SEEN = ("image/", "video/")


async def look_at(run: RunInWork, output: PlannedOutput) -> Verdict | None:
    """Have everything that is seen of an output judged; return the verdict that says no, if any.

    What was refused is erased unless the policy keeps it. Raises an ArtlabError when a check could
    not be made: nothing of the output may be shown then.
    """
    if not run.plan.checks_images:
        return None
    made = await made_of(run, output)
    seen = [entity for entity in made if output.is_visual or entity.media_type.startswith(_SEEN)]
    if not seen:
        return None
    await run.journal.stage(4, "image_check", output.index)
    began, verdicts, keep = run.journal.begin(), list[Verdict](), True
    try:
        for entity in seen:
            read = partial(run.services.recorder.read, run.plan.run_id, entity.sequence)
            found = await run.image_verdict("image", entity.media_type, read)
            verdicts.append(replace(found.verdict, sequence=entity.sequence))
            if not found.verdict.safe:
                keep = found.keep_blocked
                break
    except ArtlabError:
        if verdicts:
            await _record(run, output, verdicts, began)
        raise
    try:
        await _record(run, output, verdicts, began)
    finally:
        # A run that is stopped just now, or a verdict that cannot be recorded, keeps no bytes.
        if not (verdicts[-1].safe or keep):
            await _erase(run, made)
    return None if verdicts[-1].safe else verdicts[-1]


async def _record(
    run: RunInWork, output: PlannedOutput, verdicts: list[Verdict], began: Began
) -> None:
    await run.journal.verdicts(
        f"output-{output.index}-image-safety",
        "safety_image",
        verdicts,
        began,
        stage=4,
        output_index=output.index,
    )


async def made_of(run: RunInWork, output: PlannedOutput) -> list[RecordedEntity]:
    """The recorded files of an output."""
    # What the record says, not what media answered: all of it would be served.
    recorded = await run.steady(lambda: run.services.recorder.get_run(run.plan.run_id))
    return [
        entity
        for entity in recorded.entities
        if entity.output_index == output.index and entity.type.startswith("output_")
    ]


async def _erase(run: RunInWork, made: list[RecordedEntity]) -> None:
    for entity in made:
        try:
            await run.journal.erase(entity.sequence)
        except ArtlabError as error:
            # The verdict stands, and nothing of a blocked output is served.
            log.error(
                "blocked bytes stay", extra=facts(sequence=entity.sequence, reason=error.reason)
            )
