"""The orchestrator's peers, in memory and scriptable: what they were asked is kept in order."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from services.kit.errors import ArtlabError, NotFound
from services.kit.ids import RunId
from services.orchestrator.domain.plan import Plan, PlannedOutput
from services.orchestrator.domain.run import (
    EntityDraft,
    FinalState,
    Kind,
    Level,
    Mode,
    ModelUse,
    OutputCatalogue,
    OutputOffer,
    PassResult,
    Purpose,
    Recipe,
    RecordedEntity,
    RecordedRun,
    RenderProgress,
    RunError,
    Verdict,
)
from services.orchestrator.ports import Hint


@dataclass
class FakeRecorder:
    """Keeps runs, drafts and final states; `failures` are raised first, one a call."""

    runs: dict[RunId, RecordedRun] = field(default_factory=dict)
    drafts: list[EntityDraft] = field(default_factory=list)
    steps: list[tuple[int, str, int]] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    outputs: dict[int, tuple[FinalState, RunError | None]] = field(default_factory=dict)
    error: RunError | None = None
    failures: list[ArtlabError] = field(default_factory=list)

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

    async def get_run(self, run_id: RunId) -> RecordedRun:
        if run_id not in self.runs:
            raise NotFound("RUN_NOT_FOUND", "no such run")
        return self.runs[run_id]

    async def create_run(self, plan: Plan, deadline: datetime) -> None:
        self._fail()
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
        )

    async def open_runs(self) -> Sequence[RecordedRun]:
        self._fail()
        return [run for run in self.runs.values() if not run.is_final]

    async def set_progress(
        self, run_id: RunId, stage: int, step: str, output_index: int = 0
    ) -> None:
        self._fail()
        self.steps.append((stage, step, output_index))
        self._change(run_id, "running")

    async def record(self, run_id: RunId, draft: EntityDraft) -> None:
        self._fail()
        if draft.upload_id in {known.upload_id for known in self.drafts}:
            return
        self.drafts.append(draft)
        run = self.runs[run_id]
        entity = RecordedEntity(draft.type, hashlib.sha256(draft.data).hexdigest())
        self.runs[run_id] = replace(run, entities=(*run.entities, entity))

    async def publish(self, run_id: RunId, hints: Sequence[Hint]) -> None:
        self.hints += hints

    async def finalize_output(
        self, run_id: RunId, output: PlannedOutput, state: FinalState, error: RunError | None
    ) -> FinalState:
        self._fail()
        return self.outputs.setdefault(output.index, (state, error))[0]

    async def finalize_run(
        self, run_id: RunId, state: FinalState, error: RunError | None
    ) -> RecordedRun:
        self._fail()
        if not self.runs[run_id].is_final:
            self._change(run_id, state)
            self.error = error
        return self.runs[run_id]

    def _change(self, run_id: RunId, state: str) -> None:
        self.runs[run_id] = replace(self.runs[run_id], state=state)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@dataclass
class FakeSafety:
    """Blocks texts that contain one of `forbidden`; `failures` are raised first."""

    forbidden: tuple[str, ...] = ("verboten",)
    level: Level = "youth"
    asked: list[tuple[Purpose, str]] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    failures: list[ArtlabError] = field(default_factory=list)

    async def server_level(self) -> Level:
        return self.level

    async def check_text(
        self, text: str, level: Level, purpose: Purpose, language: str, kind: Kind | None = None
    ) -> Verdict:
        if self.failures:
            raise self.failures.pop(0)
        self.asked.append((purpose, text))
        self.languages.append(language)
        terms = tuple(word for word in self.forbidden if word in text.lower())
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
        )


@dataclass
class FakeInterception:
    """Answers every pass with `write`, streamed in two halves."""

    recipe_: Recipe
    write: Callable[[str, str, int], str] = lambda config, text, number: f"{text}+{number}"
    translate: Callable[[str], str] = lambda text: text
    asked: list[tuple[str, str, str, int]] = field(default_factory=list)
    failures: list[ArtlabError] = field(default_factory=list)
    frozen: bool = False

    async def recipe(self, name: str) -> Recipe:
        if name != self.recipe_.name:
            raise NotFound("CONFIG_NOT_FOUND", "no such recipe", field="config_name")
        return self.recipe_

    async def detect_language(self, text: str) -> str:
        return "de"

    async def intercept(
        self,
        config_name: str,
        text: str,
        *,
        language: str,
        context: str,
        mode: Mode,
        seed: int,
        pass_number: int,
    ) -> AsyncIterator[str | PassResult]:
        self.asked.append((config_name, text, context, pass_number))
        if self.frozen:
            await asyncio.Event().wait()
        translating = config_name == "translation_en"
        answer = self.translate(text) if translating else self.write(config_name, text, pass_number)
        half = len(answer) // 2
        yield answer[:half]
        if self.failures:
            raise self.failures.pop(0)
        yield answer[half:]
        yield PassResult(
            number=pass_number,
            passes=1 if translating else self.recipe_.passes,
            text=answer,
            used=ModelUse("interception", "builtin", "writer"),
            from_language="de",
            to_language="en" if translating else "de",
            translated=answer != text if translating else None,
            parameters={"technique": "test"},
        )


@dataclass
class FakeMedia:
    """Makes what is asked unless told to fail, to wait, or to be away."""

    offers: tuple[OutputOffer, ...] = (OutputOffer("builtin_image", "image", available=True),)
    failing: dict[str, ArtlabError] = field(default_factory=dict)
    failures: list[ArtlabError] = field(default_factory=list)
    made: list[tuple[int, str, str, int]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    frozen: bool = False
    frozen_config: str = ""
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def catalogue(self) -> OutputCatalogue:
        return OutputCatalogue(
            {offer.name: offer for offer in self.offers},
            {(offer.kind, "eco"): (offer.name,) for offer in self.offers},
        )

    async def generate(
        self,
        run_id: RunId,
        output: PlannedOutput,
        prompt: str,
        recipe: str,
        report: Callable[[RenderProgress], None],
    ) -> None:
        self.started.set()
        report(RenderProgress("executing", 0.5))
        if self.failures:
            raise self.failures.pop(0)
        if self.frozen or output.config == self.frozen_config:
            await asyncio.Event().wait()
        if output.config in self.failing:
            raise self.failing[output.config]
        self.made.append((output.index, output.config, prompt, output.seed))

    async def cancel(self, run_id: RunId, output: PlannedOutput) -> None:
        self.cancelled.append(output.index)
