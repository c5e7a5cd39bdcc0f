"""What a run is made of, as the orchestrator speaks of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from services.kit.ids import RunId
from services.orchestrator.domain.parameter import ParameterSpec

Level = Literal["kids", "youth", "adult", "research"]
Mode = Literal["eco", "fast"]
Kind = Literal["text", "image", "audio", "music", "video", "code"]
Audience = Literal["student", "advanced", "research"]
# A text on the way through a recipe: the pass before's, stage 1's, or those of all passes before.
PassText = Literal["previous", "original", "all"]
Purpose = Literal[
    "input",
    "context",
    "translation",
    "interception",
    "media_prompt",
    "code",
    "image",
    "input_image",
]
FinalState = Literal["succeeded", "partial", "blocked", "failed", "cancelled", "not_available"]

# The strictest first: a level may be asked for if it is not after the server's.
LEVELS: tuple[Level, ...] = ("kids", "youth", "adult", "research")


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What was used, as a service reported it."""

    task: str
    backend: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class RunError:
    """Why something ended without success; never contains user text."""

    reason: str
    message: str
    stage: int
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the plan needs to know of an interception recipe.

    Attributes:
        takes: what each pass is given; of every pass that is not named, the text of the one before.
        result: what comes of it, the text of the last pass or those of all.
        keeps_words: whether no medium may have its words put differently.
        is_local: whether somebody here wrote it, so that its own texts have to be checked.
        sha256: of the recipe the plan was made with; empty when it was not told.
        local_only: whether texts on their way through it may reach no model but one's own.
    """

    name: str
    passes: int
    translates_input: bool
    accepts_context: bool
    requires_context: bool
    output_configs: tuple[str, ...]
    default_output: Kind | None
    takes: tuple[PassText, ...] = ()
    result: PassText = "previous"
    keeps_words: bool = False
    is_local: bool = False
    sha256: str = ""
    local_only: bool = False

    def given(self, number: int) -> PassText:
        """Return what a pass, from 1, is given."""
        return self.takes[number - 1] if number <= len(self.takes) else "previous"


@dataclass(frozen=True, slots=True)
class OutputOffer:
    """An output config, whether it can run now, and what a request may or must give it."""

    name: str
    kind: Kind
    available: bool
    # Slots that take a picture; each must be given.
    image_slots: tuple[str, ...] = ()
    # Slots that take a text, and all slots a request may set.
    text_slots: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    # What they take, by name.
    parameter_specs: Mapping[str, ParameterSpec] = field(default_factory=dict)
    # How its model wants a prompt; empty means as it was written.
    prompt_style: str = ""


@dataclass(frozen=True, slots=True)
class OutputCatalogue:
    """All output configs, and which to try in order when nobody chose."""

    offers: Mapping[str, OutputOffer]
    defaults: Mapping[tuple[Kind, Mode], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Policy:
    """What safety asks of runs."""

    # The laxest level a request may ask for.
    level: Level
    # Levels at which nothing that is seen may be shown before its check.
    image_check_levels: frozenset[Level] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a check that was made."""

    safe: bool
    purpose: Purpose
    rule: str
    codes: tuple[str, ...]
    checks: tuple[str, ...]
    terms: tuple[str, ...]
    explanation: str
    suggestion: str
    language: str
    used: ModelUse
    attempt: int = 1
    # The entity that was looked at; 0 for what was not an entity yet.
    sequence: int = 0
    # A text that could be typed instead; empty when safe.
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """What a check said of a picture or film."""

    verdict: Verdict
    # Whether the bytes of what was blocked may stay in the record.
    keep_blocked: bool = False


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A person's picture made fit: upright, without metadata, at most 2048 pixels a side."""

    media_type: str
    width: int
    height: int
    data: bytes


@dataclass(frozen=True, slots=True)
class PassResult:
    """One finished pass of a recipe."""

    number: int
    passes: int
    text: str
    used: ModelUse
    from_language: str
    to_language: str
    translated: bool | None
    parameters: Mapping[str, str]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class EntityDraft:
    """An entity to record; `upload_id` makes recording it twice harmless."""

    upload_id: str
    type: str
    data: bytes
    stage: int
    audience: Audience
    started: datetime
    duration: timedelta
    output_index: int = 0
    pass_number: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    models: tuple[ModelUse, ...] = ()
    # From 1; which one it was that succeeded.
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class RecordedEntity:
    """What is known of an entity that exists."""

    type: str
    sha256: str
    sequence: int = 0
    output_index: int = 0
    media_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    # 0 to 4, and the pass of a recursive recipe from 1.
    stage: int = 0
    pass_number: int = 0
    # Which attempt it was that succeeded, from 1.
    attempt: int = 1
    created: datetime | None = None
    # Whether its bytes are gone because nobody may see them.
    erased: bool = False
    # What made it, as reported.
    models: tuple[ModelUse, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedOutput:
    """Where one output stands: pending, running, or a final state with its reason."""

    index: int
    config: str
    kind: Kind
    state: str
    error: RunError | None = None
    occurrence: int = 1

    @property
    def is_final(self) -> bool:
        """Whether nothing can change any more."""
        return self.state not in ("", "pending", "running")


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What is known of a run that exists."""

    run_id: RunId
    state: str
    config_name: str
    user_id: str
    level: Level
    mode: Mode
    seed: int
    output_configs: tuple[str, ...]
    entities: tuple[RecordedEntity, ...]
    created: datetime
    # Where it stands, 0 before the first stage.
    stage: int = 0
    expected_entities: tuple[str, ...] = ()
    outputs: tuple[RecordedOutput, ...] = ()
    error: RunError | None = None
    # When the recorder ends it by force.
    deadline: datetime | None = None
    # Sequences of questions that no decision has answered.
    open_questions: tuple[int, ...] = ()
    # The run it goes on from, and the last entity taken from there.
    parent: RunId | None = None
    parent_sequence: int = 0
    # The plan as it was recorded; empty unless asked for, or none.
    plan: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing can change any more."""
        return self.state not in ("pending", "running")


@dataclass(frozen=True, slots=True)
class RenderProgress:
    """Where a media job stands; fraction 0.0 to 1.0 of the whole job."""

    phase: str
    fraction: float
    queue_position: int = 0
    attempt: int = 1
    instance: str = ""
    node: str = ""
    remaining: timedelta | None = None


@dataclass(frozen=True, slots=True)
class RenderPreview:
    """A small picture of work in progress that nobody has checked; image/jpeg or image/webp."""

    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class RenderWarning:
    """What a person should know of a job; ends nothing."""

    reason: str
    message: str


RenderUpdate = RenderProgress | RenderPreview | RenderWarning
