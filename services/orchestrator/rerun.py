"""Runs that go on from another one: what that one was asked for, and what it made.

A text that is taken over is no more trusted than one that is typed: it is recorded, and checked
again under the level in force, before anything is made of it. Pictures are taken over by who drives
the run, because they may be shown only once they are checked (input_images).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, DataLoss, FailedPrecondition, NotFound
from services.kit.ids import RunId
from services.orchestrator.domain.lineage import Copied, Lineage, Rerun
from services.orchestrator.domain.parent import (
    Parent,
    accepted_edits,
    incomplete,
    lineage_of,
    merged,
)
from services.orchestrator.domain.plan import Plan, RunRequest
from services.orchestrator.domain.plan_document import plan_of
from services.orchestrator.domain.questions import decision_of
from services.orchestrator.domain.run import Audience, EntityDraft, RecordedEntity, RecordedRun
from services.orchestrator.patience import patiently, recorder_may_recover
from services.orchestrator.ports import Recorder

COPIED_FROM = "copied_from"
# Of the step that made it there; here it is found without.
_OWN_MARKS = ("step", "iteration", "options_sha256")
_STAGES: Mapping[str, int] = {"translation": 1, "interception_pass": 2, "interception": 2}
_AUDIENCES: Mapping[str, Audience] = {"interception": "student"}


@dataclass(frozen=True, slots=True)
class GoingOn:
    """A request with everything that its parent decides, and what it takes over.

    Attributes:
        request: the whole of it; its `rerun` has no text.
        lineage: for the plan.
        text: takes the place of the intercepted one; empty for none.
    """

    request: RunRequest
    lineage: Lineage
    text: str = ""


class Reruns:
    """Reads parents and records what is taken over from them."""

    def __init__(self, recorder: Recorder, clock: Clock, patience_seconds: float) -> None:
        self._recorder = recorder
        self._clock = clock
        self._patience = patience_seconds

    async def resolve(self, request: RunRequest, rerun: Rerun) -> GoingOn:
        """Return the request as it is meant.

        Raises NotFound PARENT_NOT_FOUND for a run that is not there or somebody else's,
        FailedPrecondition PARENT_INCOMPLETE, InvalidArgument CHANGE_TOO_LATE.
        """
        try:
            run = await self._recorder.get_run(rerun.parent, with_plan=True)
        except NotFound:
            raise _not_found() from None
        if run.user_id != request.user_id:
            raise _not_found()
        parent = await self._parent(run)
        whole = merged(request, rerun, parent.plan)
        return GoingOn(whole, lineage_of(whole, rerun, parent), rerun.text)

    async def take_over(self, plan: Plan, text: str) -> None:
        """Record the texts a run takes over, and the one that takes the intercepted one's place.

        The input and the person's own rules are not among them: they are recorded like those of
        any run. May be repeated. Raises FailedPrecondition PARENT_INCOMPLETE for what is gone.
        """
        lineage = plan.lineage
        if lineage is None:
            return
        parent = await self._patiently_get(lineage.parent)
        for copied in lineage.texts:
            if copied.type not in ("input", "context"):
                await self._record(plan.run_id, await self._copy(lineage, copied, parent))
        if text:
            await self._record(
                plan.run_id, self._draft(Copied(0, "interception"), text, {"edited": "true"})
            )

    async def _parent(self, run: RecordedRun) -> Parent:
        texts = {"input": "", "context": ""}
        for entity in run.entities:
            if entity.type in texts:
                texts[entity.type] = await self._text(run.run_id, entity)
        if not texts["input"]:
            raise incomplete("no input")
        try:
            plan = plan_of(run.plan, texts["input"], texts["context"])
        except FailedPrecondition as error:
            # Recorded before there were plans, or by another release.
            raise incomplete(f"no plan that is understood here ({error.reason})") from None
        edits = [one.sequence for one in accepted_edits(run.entities)]
        return Parent(plan, run.entities, edits)

    async def _copy(self, lineage: Lineage, copied: Copied, parent: RecordedRun) -> EntityDraft:
        entity = next((one for one in parent.entities if one.sequence == copied.sequence), None)
        if entity is None:
            raise incomplete(f"no entity {copied.sequence}")
        text, metadata = await self._text(lineage.parent, entity), dict(entity.metadata)
        if entity.type == "decision":
            text, metadata = decision_of(text.encode()).text, {"edited": "true"}
        for mark in _OWN_MARKS:
            metadata.pop(mark, None)
        metadata[COPIED_FROM] = lineage.source(copied.type, copied.pass_number)
        return self._draft(copied, text, metadata)

    def _draft(self, copied: Copied, text: str, metadata: Mapping[str, str]) -> EntityDraft:
        return EntityDraft(
            upload_id=copied.upload_id,
            type=copied.type,
            data=text.encode(),
            stage=_STAGES[copied.type],
            audience=_AUDIENCES.get(copied.type, "advanced"),
            started=self._clock.now(),
            duration=timedelta(0),
            pass_number=copied.pass_number,
            metadata=metadata,
        )

    async def _text(self, run_id: RunId, entity: RecordedEntity) -> str:
        try:
            chunks = [chunk async for chunk in self._recorder.read(run_id, entity.sequence)]
            return b"".join(chunks).decode()
        except (NotFound, FailedPrecondition, DataLoss) as error:
            raise incomplete(f"no bytes of its {entity.type} any more ({error.reason})") from None

    async def _patiently_get(self, run_id: RunId) -> RecordedRun:
        try:
            return await patiently(
                lambda: self._recorder.get_run(run_id),
                self._patience,
                self._clock,
                recorder_may_recover,
            )
        except NotFound:
            raise incomplete("been deleted meanwhile") from None

    async def _record(self, run_id: RunId, draft: EntityDraft) -> None:
        await patiently(
            lambda: self._recorder.record(run_id, draft),
            self._patience,
            self._clock,
            recorder_may_recover,
        )


def given_metadata(plan: Plan, entity_type: str) -> dict[str, str]:
    """Return what the input, or the person's own rules, say of where they come from."""
    source = plan.lineage.source(entity_type) if plan.lineage else ""
    return {COPIED_FROM: source} if source else {}


def _not_found() -> ArtlabError:
    # Somebody else's run is not told from one that is not there.
    return NotFound("PARENT_NOT_FOUND", "there is no such run of yours", field="rerun.parent")
