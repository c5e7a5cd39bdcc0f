"""What the orchestrator needs from the other services, in its own words.

Every method raises an ArtlabError. Methods that write are idempotent under their names, so that
a caller may repeat them after Unavailable.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.kit.ids import RunId
from services.orchestrator.claims import Claim, Claims
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.plan import Plan, PlannedOutput
from services.orchestrator.domain.run import (
    EntityDraft,
    FinalState,
    ImageVerdict,
    Kind,
    Level,
    Mode,
    OutputCatalogue,
    PassResult,
    Policy,
    PreparedImage,
    Purpose,
    Recipe,
    RecordedEntity,
    RecordedRun,
    RenderPreview,
    RenderProgress,
    RenderUpdate,
    RenderWarning,
    RunError,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class TextHint:
    """Text as it grows; offset in characters of the whole."""

    entity_type: str
    pass_number: int
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class RenderHint:
    """Progress of one output."""

    output_index: int
    progress: RenderProgress


@dataclass(frozen=True, slots=True)
class PreviewHint:
    """A picture of one output as it grows, which nobody has checked."""

    output_index: int
    preview: RenderPreview


@dataclass(frozen=True, slots=True)
class WritingHint:
    """Where a text stands in the line before its model, from 1; 0 once its turn has come."""

    entity_type: str
    position: int
    output_index: int = 0


Hint = TextHint | RenderHint | PreviewHint | WritingHint
# Opens bytes from their start, as often as it is called.
Reading = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a pipeline stands: stage 1 to 4, the step, the output from 1 or 0 for none."""

    stage: int
    step: str
    output_index: int = 0


@dataclass(frozen=True, slots=True)
class PassJob:
    """One pass of a recipe; the text and the person's own rules are checked."""

    config_name: str
    text: str
    language: str
    context: str
    mode: Mode
    seed: int
    number: int = 1
    user_id: str = ""
    # Of the recipe the plan was made with; empty means any.
    recipe_sha256: str = ""


@dataclass(frozen=True, slots=True)
class RecipeTexts:
    """What a recipe tells a model, and what it shows to who chooses."""

    told: tuple[str, ...]
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RewriteJob:
    """A checked text to put as a medium wants it; `recipe` is the one it went through."""

    text: str
    style: str
    kind: Kind
    language: str
    mode: Mode
    seed: int
    user_id: str = ""
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class LinePlace:
    """Where somebody stands in the line before a model, from 1."""

    position: int


TextUpdate = str | LinePlace | PassResult


@dataclass(frozen=True, slots=True)
class MediaJob:
    """One output to make; all texts in it are checked."""

    run_id: RunId
    output: PlannedOutput
    prompt: str
    recipe: str = ""
    user_id: str = ""
    # By slot, the sequence of a recorded input image.
    input_images: Mapping[str, int] = field(default_factory=dict)
    allow_reuse: bool = False
    # Of the driver's claim: the recorder is written to under it; 0 is not fenced.
    epoch: int = 0
    # Only take what an earlier attempt has made, or has come too late.
    adopt_only: bool = False
    # Nothing of it may reach a machine but one's own.
    local_only: bool = False


@dataclass(frozen=True, slots=True)
class RunHistory:
    """How long runs of one kind were in work, without their time in line; None without any."""

    p50_seconds: float | None


@dataclass(frozen=True, slots=True)
class Created:
    """A run that was created: the epoch of its claim, 0 when it is not ours.

    `shown` is the run as the recorder tells it, a serialized artlab.recorder.v1.Run, for whoever
    asked for it.
    """

    epoch: int
    shown: bytes = b""


class Recorder(Claims, Protocol):
    """Owns the run folders.

    Writes go under the epoch of the view they are called on, see `under`; the recorder itself is
    the view of epoch 0, which is nobody's claim and is not fenced. Under an epoch that is not the
    run's own any more every write raises ClaimLost.
    """

    def under(self, epoch: int) -> Recorder:
        """Return the same recorder for who drives a run under this epoch."""
        ...

    async def get_run(self, run_id: RunId, *, with_plan: bool = False) -> RecordedRun:
        """Return one run, and its plan document if asked for. Raises NotFound."""
        ...

    async def create_run(
        self,
        plan: Plan,
        document: str,
        deadline: datetime,
        claim: Claim | None = None,
        drafts: Sequence[EntityDraft] = (),
    ) -> Created:
        """Create the run of a plan with its first entities, and claim it.

        `document` is the plan as it is recorded, see domain/plan_document.py.

        Raises AlreadyExists REQUEST_ID_REUSED.
        """
        ...

    async def history(self, output_config: str, config_name: str = "") -> RunHistory:
        """How long runs with such an output were in work that succeeded; of one recipe, or all."""
        ...

    async def set_progress(
        self, run_id: RunId, stage: int, step: str, output_index: int = 0
    ) -> None:
        """Record where the pipeline stands."""
        ...

    async def record(
        self, run_id: RunId, draft: EntityDraft, then: Position | None = None
    ) -> RecordedEntity:
        """Commit one entity, and return it as it is recorded.

        `then` is where the pipeline stands afterwards, in the same commit; an entity that was there
        already moves nothing.
        """
        ...

    async def record_all(
        self, run_id: RunId, drafts: Sequence[EntityDraft], then: Position | None = None
    ) -> list[RecordedEntity]:
        """Commit entities in their order, and return them as they are recorded.

        All of them are there afterwards or none, as far as they are small enough for one call.
        `then` as in `record`, after the last of them.
        """
        ...

    def read(self, run_id: RunId, sequence: int) -> AsyncIterator[bytes]:
        """Yield the bytes of an entity in chunks of at most 256 KiB."""
        ...

    async def erase(self, run_id: RunId, sequence: int, reason: str) -> None:
        """Remove the bytes of an entity that nobody may see."""
        ...

    async def warn(self, run_id: RunId, output_index: int, warning: RenderWarning) -> None:
        """Record something a person should know."""
        ...

    async def publish(self, run_id: RunId, hints: Sequence[Hint]) -> None:
        """Pass hints on to watchers."""
        ...

    async def finalize_output(
        self, run_id: RunId, output: PlannedOutput, state: FinalState, error: RunError | None
    ) -> FinalState:
        """Make one output final; return how it is recorded: a second call changes nothing."""
        ...

    async def finalize_run(
        self,
        run_id: RunId,
        state: FinalState,
        error: RunError | None,
        outputs: Sequence[tuple[PlannedOutput, End]] = (),
    ) -> RecordedRun:
        """Make the run final; a second call returns it as it is.

        `outputs` end before it in the same commit; what is final already stays as it is.
        """
        ...


class Safety(Protocol):
    """Judges texts and pictures."""

    async def policy(self) -> Policy:
        """What is asked of runs."""
        ...

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
        """Judge one text, which `local_only` keeps on one's own machines.

        An error is never a verdict; FailedPrecondition SAFETY_JUDGE_REMOTE when a judge that has
        to be asked is elsewhere.
        """
        ...

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
        """Judge one picture, or a film by several of its frames; else as `check_text`."""
        ...


class Interception(Protocol):
    """Transforms texts."""

    async def recipe(self, name: str) -> Recipe:
        """Return one recipe. Raises NotFound CONFIG_NOT_FOUND."""
        ...

    async def recipe_texts(self, name: str, sha256: str) -> RecipeTexts:
        """Return what a recipe says, in each of its languages.

        Raises FailedPrecondition RECIPE_CHANGED when it has another digest by now.
        """
        ...

    async def detect_language(self, text: str) -> str:
        """BCP 47; "und" when unknown."""
        ...

    def intercept(self, job: PassJob) -> AsyncIterator[TextUpdate]:
        """Yield deltas, and its place while it waits, then the result of one pass."""
        ...

    def rewrite(self, job: RewriteJob) -> AsyncIterator[TextUpdate]:
        """Yield deltas, and its place while it waits, then a text put for its medium."""
        ...


class Media(Protocol):
    """Makes outputs."""

    async def catalogue(self) -> OutputCatalogue:
        """Every output config, with its availability."""
        ...

    def generate(self, job: MediaJob) -> AsyncGenerator[RenderUpdate, None]:
        """Make one output and have it recorded; joins the job if it is already running.

        Yields where it stands; ends once it is recorded.
        """
        ...

    async def prepare_image(self, chunks: AsyncIterator[bytes]) -> PreparedImage:
        """Make a person's picture fit to be recorded. Raises InvalidArgument MEDIA_*."""
        ...

    async def cancel(self, run_id: RunId, output: PlannedOutput) -> None:
        """Stop the job of one output, if there is one."""
        ...
