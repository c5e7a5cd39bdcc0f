"""The orchestrator's peers, in memory and scriptable: what they were asked is kept in order."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from services.kit.errors import AlreadyExists, ArtlabError, FailedPrecondition, NotFound
from services.kit.ids import RunId
from services.orchestrator.claims import Claim, Claimable, ClaimableRuns, ClaimAnswer, ClaimLost
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.plan import Plan, PlannedOutput
from services.orchestrator.domain.run import (
    EntityDraft,
    FinalState,
    ImageVerdict,
    Kind,
    Level,
    ModelUse,
    OutputCatalogue,
    OutputOffer,
    PassResult,
    Policy,
    PreparedImage,
    Purpose,
    Recipe,
    RecordedEntity,
    RecordedOutput,
    RecordedRun,
    RenderProgress,
    RenderUpdate,
    RenderWarning,
    RunError,
    Verdict,
)
from services.orchestrator.ports import (
    Created,
    Hint,
    LinePlace,
    MediaJob,
    PassJob,
    Position,
    Reading,
    RecipeTexts,
    RewriteJob,
    RunHistory,
    TextUpdate,
)


@dataclass
class FakeRecorder:
    """Keeps runs, drafts and final states; `failures` are raised first, one a call."""

    runs: dict[RunId, RecordedRun] = field(default_factory=dict)
    drafts: list[EntityDraft] = field(default_factory=list)
    steps: list[tuple[int, str, int]] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    # By index, of the run that was first; `ends` has those of all.
    outputs: dict[int, tuple[FinalState, RunError | None]] = field(default_factory=dict)
    ends: dict[tuple[RunId, int], tuple[FinalState, RunError | None]] = field(default_factory=dict)
    error: RunError | None = None
    failures: list[ArtlabError] = field(default_factory=list)
    uploads: dict[tuple[RunId, str], RecordedEntity] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    erased: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[tuple[int, RenderWarning]] = field(default_factory=list)
    plans: dict[RunId, str] = field(default_factory=dict)
    # By run, who has it and under which epoch; a run given back has an epoch and no owner.
    owners: dict[RunId, str] = field(default_factory=dict)
    epochs: dict[RunId, int] = field(default_factory=dict)
    # Runs that were given back to be offered later, and after how many seconds.
    delays: dict[RunId, float] = field(default_factory=dict)
    # Of this view, and the recorder it is a view of.
    epoch: int = 0
    whole: FakeRecorder | None = None

    @property
    def types(self) -> list[str]:
        """Entity types in the order they were recorded."""
        return [draft.type for draft in self.drafts]

    def text_of(self, upload_id: str) -> str:
        """The text of one entity."""
        return next(d.data.decode() for d in self.drafts if d.upload_id == upload_id)

    def state(self, run_id: RunId) -> str:
        """Where the run stands."""
        return self.runs[run_id].state

    def under(self, epoch: int) -> FakeRecorder:
        view = copy(self)
        view.epoch, view.whole = epoch, self.whole or self
        return view

    async def get_run(self, run_id: RunId, *, with_plan: bool = False) -> RecordedRun:
        self._known(run_id)
        plan = self.plans.get(run_id, "") if with_plan else ""
        return replace(self.runs[run_id], plan=plan)

    async def create_run(
        self,
        plan: Plan,
        document: str,
        deadline: datetime,
        claim: Claim | None = None,
        drafts: Sequence[EntityDraft] = (),
    ) -> Created:
        self._fail()
        if plan.run_id in self.runs:
            raise AlreadyExists("REQUEST_ID_REUSED", "the id belongs to another request")
        self.runs[plan.run_id] = RecordedRun(
            run_id=plan.run_id,
            state="pending",
            config_name=plan.recipe.name,
            user_id=plan.request.user_id,
            level=plan.level,
            mode=plan.request.mode,
            seed=plan.seed,
            output_configs=tuple(o.config for o in plan.outputs),
            entities=(),
            created=datetime.now(UTC),
            expected_entities=plan.expected_entities,
            outputs=tuple(
                RecordedOutput(o.index, o.config, o.kind, "pending", None, o.occurrence)
                for o in plan.outputs
            ),
            deadline=deadline,
            parent=plan.lineage.parent if plan.lineage else None,
            parent_sequence=plan.lineage.parent_sequence if plan.lineage else 0,
        )
        self.plans[plan.run_id] = document
        for draft in drafts:
            self._add(plan.run_id, draft)
        return Created(0 if claim is None else (await self.claim(plan.run_id, claim)).epoch)

    async def claim(self, run_id: RunId, claim: Claim, *, force: bool = False) -> ClaimAnswer:
        if self._known(run_id).is_final:
            raise FailedPrecondition("RUN_FINAL", "it is over")
        owner = self.owners.get(run_id)
        if owner != claim.owner:
            if not force and (owner is not None or self.delays.get(run_id)):
                return ClaimAnswer(0, self.delays.get(run_id) or claim.ttl_seconds)
            self.owners[run_id] = claim.owner
            self.epochs[run_id] = self.epochs.get(run_id, 0) + 1
            self.delays.pop(run_id, None)
        return ClaimAnswer(self.epochs[run_id])

    async def renew(self, claim: Claim, held: Mapping[RunId, int]) -> Mapping[RunId, str]:
        return {run: "FENCED" for run, epoch in held.items() if self.epochs.get(run) != epoch}

    async def release(
        self, run_id: RunId, owner: str, epoch: int, delay_seconds: float = 0.0
    ) -> None:
        if (self.owners.get(run_id), self.epochs.get(run_id)) == (owner, epoch):
            del self.owners[run_id]
            self.delays[run_id] = delay_seconds

    async def claimable(self, limit: int) -> ClaimableRuns:
        free = tuple(
            Claimable(run.run_id, run.user_id, run.created, run.run_id in self.epochs)
            for run in self.runs.values()
            if not run.is_final and run.run_id not in self.owners
            if not self.delays.get(run.run_id)
        )
        loads = Counter(self.runs[run].user_id for run in self.owners)
        return ClaimableRuns(free[:limit], len(free), loads)

    async def history(self, output_config: str, config_name: str = "") -> RunHistory:
        return RunHistory(None)

    async def set_progress(
        self, run_id: RunId, stage: int, step: str, output_index: int = 0
    ) -> None:
        self._fence(run_id)
        self._fail()
        self.steps.append((stage, step, output_index))
        self._change(run_id, "running")

    async def record(
        self, run_id: RunId, draft: EntityDraft, then: Position | None = None
    ) -> RecordedEntity:
        return (await self.record_all(run_id, [draft], then))[0]

    async def record_all(
        self, run_id: RunId, drafts: Sequence[EntityDraft], then: Position | None = None
    ) -> list[RecordedEntity]:
        self._fence(run_id)
        self._fail()
        is_new = [self._add(run_id, draft) for draft in drafts]
        if then is not None and is_new[-1]:
            self.steps.append((then.stage, then.step, then.output_index))
            self._change(run_id, "running")
        return [self.uploads[run_id, draft.upload_id] for draft in drafts]

    def _add(self, run_id: RunId, draft: EntityDraft) -> bool:
        upload = run_id, draft.upload_id
        if upload in self.uploads:
            return False
        self.drafts.append(draft)
        self.uploads[upload] = self.commit(
            run_id,
            draft.type,
            draft.data,
            "",
            draft.output_index,
            dict(draft.metadata),
            draft.stage,
            draft.pass_number,
        )
        return True

    def commit(
        self,
        run_id: RunId,
        entity_type: str,
        data: bytes,
        media_type: str,
        output_index: int,
        metadata: dict[str, str] | None = None,
        stage: int = 0,
        pass_number: int = 0,
    ) -> RecordedEntity:
        """Record what somebody else wrote, such as the bytes of an output."""
        run = self.runs[run_id]
        digest, sequence = hashlib.sha256(data).hexdigest(), len(run.entities) + 1
        entity = RecordedEntity(
            entity_type,
            digest,
            sequence,
            output_index,
            media_type,
            metadata or {},
            stage=stage,
            pass_number=pass_number,
            created=datetime.now(UTC),
        )
        self.files[sequence] = data
        self.runs[run_id] = replace(run, entities=(*run.entities, entity))
        return entity

    async def read(self, run_id: RunId, sequence: int) -> AsyncIterator[bytes]:
        self._fail()
        yield self.files[sequence]

    async def erase(self, run_id: RunId, sequence: int, reason: str) -> None:
        self._fence(run_id)
        self._fail()
        self.erased.append((sequence, reason))
        del self.files[sequence]
        run = self.runs[run_id]
        entities = (
            replace(one, erased=True) if one.sequence == sequence else one for one in run.entities
        )
        self.runs[run_id] = replace(run, entities=tuple(entities))

    async def warn(self, run_id: RunId, output_index: int, warning: RenderWarning) -> None:
        self._fence(run_id)
        self._fail()
        self.warnings.append((output_index, warning))

    async def publish(self, run_id: RunId, hints: Sequence[Hint]) -> None:
        self.hints += hints

    async def finalize_output(
        self, run_id: RunId, output: PlannedOutput, state: FinalState, error: RunError | None
    ) -> FinalState:
        self._fence(run_id)
        self._fail()
        recorded, why = self.ends.setdefault((run_id, output.index), (state, error))
        self.outputs.setdefault(output.index, (recorded, why))
        run = self.runs[run_id]
        ended = (
            replace(one, state=recorded, error=why) if one.index == output.index else one
            for one in run.outputs
        )
        self.runs[run_id] = replace(run, outputs=tuple(ended))
        return recorded

    async def finalize_run(
        self,
        run_id: RunId,
        state: FinalState,
        error: RunError | None,
        outputs: Sequence[tuple[PlannedOutput, End]] = (),
    ) -> RecordedRun:
        for output, end in outputs:
            await self.finalize_output(run_id, output, end.state, end.error)
        self._fence(run_id)
        self._fail()
        if not self._known(run_id).is_final:
            self._change(run_id, state)
            (self.whole or self).error = error
        return self.runs[run_id]

    def _change(self, run_id: RunId, state: str) -> None:
        self.runs[run_id] = replace(self.runs[run_id], state=state)

    def _known(self, run_id: RunId) -> RecordedRun:
        if run_id not in self.runs:
            raise NotFound("RUN_NOT_FOUND", "no such run")
        return self.runs[run_id]

    def _fence(self, run_id: RunId) -> None:
        if self.epoch and self.epochs.get(run_id) != self.epoch:
            raise ClaimLost

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@dataclass
class FakeSafety:
    """Blocks what contains one of `forbidden`; `failures` are raised first."""

    forbidden: tuple[str, ...] = ("verboten",)
    # More that is forbidden for one purpose only.
    forbidden_of: dict[Purpose, tuple[str, ...]] = field(default_factory=dict)
    level: Level = "youth"
    image_check_levels: frozenset[Level] = frozenset()
    keep_blocked: bool = False
    looked_at: list[tuple[Purpose, str, bytes]] = field(default_factory=list)
    image_failures: list[ArtlabError] = field(default_factory=list)
    asked: list[tuple[Purpose, str]] = field(default_factory=list)
    # Of each text and picture, whether it might not leave.
    kept_here: list[bool] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    failures: list[ArtlabError] = field(default_factory=list)
    code_failures: list[ArtlabError] = field(default_factory=list)

    async def policy(self) -> Policy:
        return Policy(self.level, self.image_check_levels)

    async def check_text(
        self,
        text: str,
        level: Level,
        purpose: Purpose,
        language: str,
        kind: Kind | None = None,
        *,
        local_only: bool,
    ) -> Verdict:
        if self.failures:
            raise self.failures.pop(0)
        if purpose == "code" and self.code_failures:
            raise self.code_failures.pop(0)
        self.asked.append((purpose, text))
        self.kept_here.append(local_only)
        self.languages.append(language)
        return self._verdict(purpose, text)

    async def check_image(
        self,
        level: Level,
        purpose: Purpose,
        language: str,
        media_type: str,
        read: Reading,
        *,
        local_only: bool,
    ) -> ImageVerdict:
        if self.image_failures:
            raise self.image_failures.pop(0)
        data = b"".join([chunk async for chunk in read()])
        self.looked_at.append((purpose, media_type, data))
        self.kept_here.append(local_only)
        self.languages.append(language)
        return ImageVerdict(self._verdict(purpose, data.decode("latin-1")), self.keep_blocked)

    def _verdict(self, purpose: Purpose, text: str) -> Verdict:
        forbidden = (*self.forbidden, *self.forbidden_of.get(purpose, ()))
        terms = tuple(word for word in forbidden if word in text.lower())
        return Verdict(
            safe=not terms,
            purpose=purpose,
            rule="youth.test" if terms else "",
            codes=("test",) if terms else (),
            checks=("wordlist:00000000",),
            terms=terms,
            explanation="Das geht hier nicht." if terms else "",
            suggestion="Versuch etwas anderes." if terms else "",
            language="de",
            used=ModelUse("safety", "builtin", "rules"),
            alternative="Eine Katze" if terms else "",
        )


@dataclass
class FakeInterception:
    """Answers every pass with `write`, streamed in two halves."""

    recipe_: Recipe
    write: Callable[[str, str, int], str] = lambda config, text, number: f"{text}+{number}"
    translate: Callable[[str], str] = lambda text: text
    asked: list[tuple[str, str, str, int]] = field(default_factory=list)
    jobs: list[PassJob] = field(default_factory=list)
    rewritten: list[RewriteJob] = field(default_factory=list)
    rewrite_failures: list[ArtlabError] = field(default_factory=list)
    # What a recipe of somebody here says, and where a pass stands in line, one after the other.
    texts: tuple[str, ...] = ()
    line: tuple[int, ...] = ()
    failures: list[ArtlabError] = field(default_factory=list)
    frozen: bool = False

    async def recipe(self, name: str) -> Recipe:
        if name != self.recipe_.name:
            raise NotFound("CONFIG_NOT_FOUND", "no such recipe", field="config_name")
        return self.recipe_

    async def detect_language(self, text: str) -> str:
        return "de"

    async def recipe_texts(self, name: str, sha256: str) -> RecipeTexts:
        if sha256 != self.recipe_.sha256:
            raise FailedPrecondition("RECIPE_CHANGED", "it is another one now")
        return RecipeTexts(self.texts)

    async def intercept(self, job: PassJob) -> AsyncIterator[TextUpdate]:
        self.asked.append((job.config_name, job.text, job.context, job.number))
        self.jobs.append(job)
        if self.frozen:
            await asyncio.Event().wait()
        translating = job.config_name == "translation_en"
        answer = (
            self.translate(job.text)
            if translating
            else self.write(job.config_name, job.text, job.number)
        )
        for place in self.line:
            yield LinePlace(place)
        half = len(answer) // 2
        yield answer[:half]
        if self.failures:
            raise self.failures.pop(0)
        yield answer[half:]
        yield PassResult(
            number=job.number,
            passes=1 if translating else self.recipe_.passes,
            text=answer,
            used=ModelUse("interception", "builtin", "writer"),
            from_language="de",
            to_language="en" if translating else "de",
            translated=answer != job.text if translating else None,
            parameters={"technique": "test"},
        )

    async def rewrite(self, job: RewriteJob) -> AsyncIterator[TextUpdate]:
        self.rewritten.append(job)
        for place in self.line:
            yield LinePlace(place)
        if self.rewrite_failures:
            raise self.rewrite_failures.pop(0)
        answer = f"{job.style}: {job.text}"
        yield answer
        used = ModelUse("media_prompt", "builtin", "writer")
        yield PassResult(1, 1, answer, used, "de", "de", None, {"technique": job.style})


@dataclass
class FakeMedia:
    """Makes what is asked unless told to fail, to wait, or to be away."""

    offers: tuple[OutputOffer, ...] = (OutputOffer("builtin_image", "image", available=True),)
    failing: dict[str, ArtlabError] = field(default_factory=dict)
    failures: list[ArtlabError] = field(default_factory=list)
    made: list[tuple[int, str, str, int]] = field(default_factory=list)
    jobs: list[MediaJob] = field(default_factory=list)
    # What a job says on its way, and what it then writes into which record: type and bytes.
    updates: tuple[RenderUpdate, ...] = (RenderProgress("executing", 0.5),)
    writes: tuple[tuple[str, bytes], ...] = ()
    into: FakeRecorder | None = None
    # What came after its time was over, by config, and who asked for such a thing.
    late: dict[str, tuple[tuple[str, bytes], ...]] = field(default_factory=dict)
    adoptions: list[MediaJob] = field(default_factory=list)
    prepare_failures: list[ArtlabError] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    frozen: bool = False
    frozen_config: str = ""
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def catalogue(self) -> OutputCatalogue:
        return OutputCatalogue(
            {offer.name: offer for offer in self.offers},
            {(offer.kind, "eco"): (offer.name,) for offer in self.offers},
        )

    async def generate(self, job: MediaJob) -> AsyncGenerator[RenderUpdate, None]:
        output = job.output
        if job.adopt_only:
            self.adoptions.append(job)
            if output.config not in self.late:
                raise NotFound("LATE_RESULT_NOT_FOUND", "nothing came late")
            self._write(job, self.late[output.config])
            return
        self.started.set()
        self.jobs.append(job)
        for update in self.updates:
            yield update
        if self.failures:
            raise self.failures.pop(0)
        if self.frozen or output.config == self.frozen_config:
            await asyncio.Event().wait()
        if output.config in self.failing:
            raise self.failing[output.config]
        self._write(job, self.writes)
        self.made.append((output.index, output.config, job.prompt, output.seed))

    def _write(self, job: MediaJob, files: tuple[tuple[str, bytes], ...]) -> None:
        kind, index = f"output_{job.output.kind}", job.output.index
        for media_type, data in files:
            if self.into is not None:
                self.into.commit(job.run_id, kind, data, media_type, index)

    async def prepare_image(self, chunks: AsyncIterator[bytes]) -> PreparedImage:
        data = b"".join([chunk async for chunk in chunks])
        if self.prepare_failures:
            raise self.prepare_failures.pop(0)
        return PreparedImage("image/png", 64, 48, b"fit " + data)

    async def cancel(self, run_id: RunId, output: PlannedOutput) -> None:
        self.cancelled.append(output.index)
