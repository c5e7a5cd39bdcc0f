"""A run as its driver finds it: the plan and what is recorded, or why it cannot be gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.kit.errors import ArtlabError, DataLoss, FailedPrecondition, NotFound
from services.kit.ids import RunId
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.plan_document import plan_of
from services.orchestrator.domain.run import RecordedRun, RunError
from services.orchestrator.ports import Recorder

# Drivers that may come and go, crashing, before a run must have something to show for it, and how
# many more for each thing it has. A run that kills its driver must not do so for ever.
TAKE_OVERS = 16
TAKE_OVERS_PER_ENTITY = 4
# A start that was cut is repeated by its caller; until then nobody can carry it out.
START_SECONDS = 60.0
RESTARTED = "ORCHESTRATOR_RESTARTED"
START_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is to be driven; `recorded` None for a run that was created just now."""

    plan: Plan
    recorded: RecordedRun | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """It is to be left for so many seconds: whoever starts it is not through yet."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hopeless:
    """It is to be ended as failed."""

    run: RecordedRun
    error: RunError


@dataclass(frozen=True, slots=True)
class Gone:
    """It is final, or deleted."""


async def load(
    recorder: Recorder, run_id: RunId, epoch: int, now: datetime
) -> Loaded | Unfinished | Hopeless | Gone:
    """Read a run back. Raises ArtlabError when the recorder cannot tell now."""
    try:
        run = await recorder.get_run(run_id, with_plan=True)
    except (NotFound, DataLoss):
        return Gone()
    if run.is_final:
        return Gone()
    if epoch > TAKE_OVERS + TAKE_OVERS_PER_ENTITY * len(run.entities):
        return _hopeless(
            run, "TAKEN_OVER_TOO_OFTEN", f"{epoch} drivers did not bring the run any further"
        )
    texts: dict[str, str] = {}
    for entity in run.entities:
        if entity.type in ("input", "context") and entity.type not in texts:
            text = await _text(recorder, run_id, entity.sequence)
            if text is None:
                return _hopeless(run, RESTARTED, f"its {entity.type} cannot be read any more")
            texts[entity.type] = text
    try:
        plan = plan_of(run.plan, texts.get("input", ""), texts.get("context", ""))
    except ArtlabError as error:
        # Recorded without a plan, by another release, or damaged.
        return _hopeless(run, RESTARTED, f"it cannot be gone on with: {error.reason}")
    if is_started(plan, run):
        return Loaded(plan, run)
    if _is_old(run, now):
        return _hopeless(run, RESTARTED, "its start was cut and not repeated")
    # Each look spends an epoch: the older it is, the longer it is left.
    return Unfinished(max(START_PAUSE_SECONDS, (now - run.created).total_seconds()))


def is_started(plan: Plan, run: RecordedRun) -> bool:
    """Whether everything is recorded that a start records: texts of the request and of a parent."""
    there = [(entity.type, entity.pass_number) for entity in run.entities]
    types = {entity_type for entity_type, _ in there}
    needed = {"input", "context"}.intersection(plan.expected_entities) | {"input"}
    if not needed <= types:
        return False
    rerun, lineage = plan.request.rerun, plan.lineage
    if rerun is not None and rerun.text_sha256 and "interception" not in types:
        return False
    copies = () if lineage is None else lineage.texts
    return all((copied.type, copied.pass_number) in there for copied in copies)


def _is_old(run: RecordedRun, now: datetime) -> bool:
    return now - run.created > timedelta(seconds=START_SECONDS)


def _hopeless(run: RecordedRun, reason: str, message: str) -> Hopeless:
    return Hopeless(run, RunError(reason, message, run.stage, True))


async def _text(recorder: Recorder, run_id: RunId, sequence: int) -> str | None:
    try:
        chunks = [chunk async for chunk in recorder.read(run_id, sequence)]
        return b"".join(chunks).decode()
    except (DataLoss, FailedPrecondition, UnicodeDecodeError):
        return None
