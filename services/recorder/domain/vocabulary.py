"""The words that metadata.json and the protos share. Pure."""

from __future__ import annotations

from enum import StrEnum


class SafetyLevel(StrEnum):
    """How strict a run is, strictest first."""

    KIDS = "kids"
    YOUTH = "youth"
    ADULT = "adult"
    RESEARCH = "research"


class ExecutionMode(StrEnum):
    """Which models a run may use."""

    ECO = "eco"
    FAST = "fast"


class MediaKind(StrEnum):
    """What an output is."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    MUSIC = "music"
    VIDEO = "video"
    CODE = "code"


class Audience(StrEnum):
    """Who may see an entity; each includes those before it."""

    STUDENT = "student"
    ADVANCED = "advanced"
    RESEARCH = "research"

    def includes(self, other: Audience) -> bool:
        """Whether what is for `other` is for this audience too; words do not compare that way."""
        order = list(Audience)
        return order.index(self) >= order.index(other)


class ExportFormat(StrEnum):
    """What kind of file an export is."""

    ZIP = "zip"
    JSON_LINES = "jsonl"
    HTML = "html"


class EntityType(StrEnum):
    """What an entity is; part of its file name."""

    INPUT = "input"
    CONTEXT = "context"
    INPUT_IMAGE = "input_image"
    TRANSLATION = "translation"
    SAFETY = "safety"
    INTERCEPTION_PASS = "interception_pass"  # noqa: S105  # not a password
    INTERCEPTION = "interception"
    MEDIA_PROMPT = "media_prompt"
    SAFETY_PRE_OUTPUT = "safety_pre_output"
    OUTPUT_IMAGE = "output_image"
    OUTPUT_AUDIO = "output_audio"
    OUTPUT_MUSIC = "output_music"
    OUTPUT_VIDEO = "output_video"
    OUTPUT_CODE = "output_code"
    OUTPUT_TEXT = "output_text"
    PREVIEW_SAFETY = "preview_safety"
    SAFETY_OUTPUT = "safety_output"
    SAFETY_IMAGE = "safety_image"
    EXPLANATION = "explanation"
    ERROR = "error"
    # What a person is asked while the run waits, and what they answered.
    QUESTION = "question"
    DECISION = "decision"
    # What a step of a pipeline remembers, for whoever goes on with the run.
    STEP_OUTPUT = "step_output"
    # The whole metadata.json of a run that was taken over from the predecessor.
    LEGACY_METADATA = "legacy_metadata"

    @property
    def is_output(self) -> bool:
        """Whether it is the result of an output, and not something about it."""
        return self.value.startswith("output_")


class RunState(StrEnum):
    """Where a run or an output stands. Blocked is a verdict, failed a fault, cancelled a wish."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARTIAL = "partial"  # runs only
    NOT_AVAILABLE = "not_available"  # outputs only

    @property
    def is_final(self) -> bool:
        """Whether it never changes again."""
        return self not in (RunState.PENDING, RunState.RUNNING)


FINAL_RUN_STATES = frozenset(
    state for state in RunState if state.is_final and state is not RunState.NOT_AVAILABLE
)
FINAL_OUTPUT_STATES = frozenset(
    state for state in RunState if state.is_final and state is not RunState.PARTIAL
)
