"""After the picture: whatever is seen of an output is looked at before anybody sees it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial

from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.orchestrator.domain.documents import blocking
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import ModelUse, RecordedEntity, Verdict
from services.orchestrator.journal import Began
from services.orchestrator.run_in_work import RunInWork

log = logging.getLogger(__name__)

_SEEN = ("image/", "video/")
# Metadata of a no whose bytes the policy keeps.
KEPT = "kept"
# For a verdict to be recorded that came just before the run was stopped or handed over.
LAST_WORD_SECONDS = 1.0
LOST = Verdict(False, "image", "refused", (), (), (), "", "", "", ModelUse("safety", ""))


class ImageCheck:
    """The look at one output."""

    def __init__(self, run: RunInWork, output: PlannedOutput) -> None:
        self._run = run
        self._output = output

    async def recorded_refusal(self, made: list[RecordedEntity]) -> Verdict | None:
        """Return the no that is recorded, if any, and do what was left to do after it."""
        evidence = self._evidence()
        no = await self._run.record.refusal(evidence[-1]) if evidence else None
        if no is None:
            # Nothing else erases bytes: a look refused them, and its words were lost.
            return LOST if any(one.erased for one in made) else None
        await self._run.journal.explain(
            self._upload(len(evidence)),
            no,
            stage=4,
            output_index=self._output.index,
            attempt=evidence[-1].attempt,
        )
        if KEPT not in evidence[-1].metadata:
            await self._erase(made)
        return no

    async def was_made(self, made: list[RecordedEntity]) -> bool:
        """Whether nothing of these files is left to be looked at."""
        seen, evidence = self._seen(made), self._evidence()
        if not seen:
            return True
        if not evidence:
            return False
        verdicts = await self._run.record.verdicts(evidence[-1])
        looked_at = {one.sequence for one in verdicts}
        return blocking(verdicts) is None and looked_at >= {one.sequence for one in seen}

    @property
    def is_needed(self) -> bool:
        """Whether it may have something to look at."""
        return self._run.plan.checks_images

    async def make(self, made: list[RecordedEntity]) -> Verdict | None:
        """Have everything that is seen judged; return the verdict that says no, if any.

        What was refused is erased unless the policy keeps it. Raises an ArtlabError when a check
        could not be made: nothing of the output may be shown then.
        """
        run, output = self._run, self._output
        if await self.was_made(made):
            return None
        await run.journal.stage(4, "image_check", output.index)
        began, verdicts, keep = run.journal.begin(), list[Verdict](), True
        try:
            for entity in self._seen(made):
                read = partial(run.services.recorder.read, run.plan.run_id, entity.sequence)
                found = await run.image_verdict("image", entity.media_type, read)
                verdicts.append(replace(found.verdict, sequence=entity.sequence))
                if not found.verdict.safe:
                    keep = found.keep_blocked
                    break
        except ArtlabError:
            # What was found out before stays as evidence, once.
            if verdicts and not self._evidence():
                await self._record(verdicts, began)
            raise
        recording = asyncio.ensure_future(self._record(verdicts, began, keep=keep))
        try:
            await asyncio.shield(recording)
        finally:
            # A run that is stopped just now, or a verdict that cannot be recorded, keeps no bytes.
            if not (verdicts[-1].safe or keep):
                await self._erase(made)
            await asyncio.wait({recording}, timeout=LAST_WORD_SECONDS)
            recording.cancel()
        return None if verdicts[-1].safe else verdicts[-1]

    def _seen(self, made: list[RecordedEntity]) -> list[RecordedEntity]:
        if not self._run.plan.checks_images:
            return []
        visual = self._output.is_visual
        return [one for one in made if visual or one.media_type.startswith(_SEEN)]

    def _evidence(self) -> list[RecordedEntity]:
        return list(self._run.record.all("safety_image", stage=4, output_index=self._output.index))

    def _upload(self, number: int) -> str:
        # A second one stands beside evidence of looks that could not all be taken.
        again = "" if number == 1 else "-again"
        return f"output-{self._output.index}-image-safety{again}"

    async def _record(self, verdicts: list[Verdict], began: Began, *, keep: bool = False) -> None:
        kept = keep and not verdicts[-1].safe
        await self._run.journal.verdicts(
            self._upload(len(self._evidence()) + 1),
            "safety_image",
            verdicts,
            began,
            stage=4,
            output_index=self._output.index,
            evidence={KEPT: "true"} if kept else {},
        )

    async def _erase(self, made: list[RecordedEntity]) -> None:
        for entity in made:
            if entity.erased:
                continue
            try:
                await self._run.journal.erase(entity)
            except ArtlabError as error:
                # The verdict stands, and nothing of a blocked output is served.
                log.error(
                    "blocked bytes stay", extra=facts(sequence=entity.sequence, reason=error.reason)
                )


async def made_of(run: RunInWork, output: PlannedOutput) -> list[RecordedEntity]:
    """The recorded files of an output."""
    # What the record says, not what media answered: all of it would be served.
    recorded = await run.steady(lambda: run.services.recorder.get_run(run.plan.run_id))
    for entity in recorded.entities:
        run.record.add(entity)
    return run.record.made(output.index)
