"""A run as the gateway shows it: frozen values, words instead of numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.kit.ids import RunId

# Words of recorder.RunState.
FINAL_STATES = frozenset({"succeeded", "partial", "blocked", "failed", "cancelled"})
# The kind of event that shows a picture nobody has checked.
PREVIEW = "preview"
# Words that clients of the execute route know; the others are the same in both worlds.
_CLIENT_STATUS = {"succeeded": "success", "failed": "error"}


def client_status(state: str) -> str:
    """The state in the words of the execute answer, e.g. success, error, blocked."""
    return _CLIENT_STATUS.get(state, state)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something ended without success; `message` is for developers."""

    reason: str
    message: str
    stage: int = 0
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What was used, as reported."""

    task: str
    backend: str
    model: str


@dataclass(frozen=True, slots=True)
class Output:
    """One requested output; `kind` is text, image, audio, music, video or code."""

    index: int
    occurrence: int
    config: str
    kind: str
    state: str
    error: Fault | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """One recorded thing; `media_type` is that of its bytes."""

    sequence: int
    type: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    timestamp: datetime | None = None
    stage: int = 0
    output_index: int = 0
    pass_number: int = 0
    audience: str = "research"
    models_used: tuple[ModelUse, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    is_erased: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it stands."""

    id: RunId
    state: str
    config: str
    safety_level: str = ""
    execution_mode: str = ""
    user_id: str = ""
    seed: int = 0
    last_event_seq: int = 0
    error: Fault | None = None
    entities: tuple[Entity, ...] = ()
    outputs: tuple[Output, ...] = ()
    expected_entities: tuple[str, ...] = ()
    models_used: tuple[ModelUse, ...] = field(default=())
    # The run this one goes on from, None for most, and the last entity taken over, as there.
    parent: RunId | None = None
    parent_sequence: int = 0
    # Sequences of questions nobody has answered: the run waits for a person.
    open_questions: tuple[int, ...] = ()

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINAL_STATES


@dataclass(frozen=True, slots=True)
class Rerun:
    """From where a run goes on; `from_stage` 2 to 4, `text` in place of the intercepted one."""

    parent: RunId
    from_stage: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says to a question: approve, edit (with the text to go on with) or reject."""

    run_id: RunId
    question: int
    decision: str
    text: str
    user_id: str
    is_teacher: bool


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Runs before one, and seconds it may wait and take; None without a history to tell from."""

    position: int
    wait_seconds: float | None = None
    total_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline that a run may follow; titles and descriptions by language."""

    name: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    steps: tuple[str, ...]
    mermaid: str


@dataclass(frozen=True, slots=True)
class RunStart:
    """What a person asks for, every field parsed; with `rerun`, what is empty is the parent's."""

    run_id: RunId
    config: str
    input_text: str
    user_id: str
    context: str = ""
    output_configs: tuple[str, ...] = ()
    safety_level: str = ""
    execution_mode: str = "eco"
    seed: int | None = None
    language: str = ""
    # How many pictures will be brought.
    input_images: int = 0
    # Values for typed slots of outputs, by name.
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    allow_reuse: bool = False
    # Empty: the usual one.
    pipeline: str = ""
    pause_before_render: bool = False
    rerun: Rerun | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A fact (with seq) or a hint (without) about a run, ready to be written as JSON."""

    kind: str
    data: dict[str, object]
    seq: int | None = None
    final: bool = False
