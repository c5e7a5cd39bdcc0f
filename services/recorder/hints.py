"""What may be told to watchers before it is a fact; checked, passed on, never stored.

Everybody hears how far a job is, and where in a line. Text as it grows is of the process. A preview
is a picture that nobody has checked, and where a job runs is for operators: both are for research.
"""

from __future__ import annotations

from collections.abc import Sequence

from artlab.recorder.v1 import run_pb2
from services.kit.errors import InvalidArgument
from services.kit.text import MAX_TEXT_CHARACTERS
from services.recorder.domain.vocabulary import Audience
from services.recorder.parse import MAX_ATTEMPT, MAX_OUTPUTS, MAX_PASS
from services.recorder.parse_values import MAX_INT64, parse_number

MAX_HINTS = 100
MAX_PREVIEW_BYTES = 64 * 1024
MAX_LABEL_CHARACTERS = 200
_DELTA_TYPES = frozenset({"translation", "interception", "interception_pass"})
_WRITTEN_TYPES = _DELTA_TYPES | {"media_prompt"}
_PREVIEW_TYPES = frozenset({"image/jpeg", "image/webp"})


def check_hints(hints: Sequence[run_pb2.Hint]) -> list[run_pb2.Hint]:
    """Return the hints as they came. Raises InvalidArgument with the path of what is wrong."""
    if not 1 <= len(hints) <= MAX_HINTS:
        raise InvalidArgument("OUT_OF_BOUNDS", f"expected 1 to {MAX_HINTS}", field="hints")
    for place, hint in enumerate(hints):
        path = f"hints[{place}]"
        match hint.WhichOneof("hint"):
            case "text_delta":
                _check_delta(hint.text_delta, f"{path}.text_delta")
            case "render_progress":
                _check_progress(hint.render_progress, f"{path}.render_progress")
            case "preview":
                _check_preview(hint.preview, f"{path}.preview")
            case "writing_position":
                _check_position(hint.writing_position, f"{path}.writing_position")
            case _:
                raise InvalidArgument("HINT_REQUIRED", "must say something", field=f"{path}.hint")
    return list(hints)


def hint_for(hint: run_pb2.Hint, audience: Audience) -> run_pb2.Hint | None:
    """Return the hint as this audience may see it, None when it is not for them."""
    if audience is Audience.RESEARCH:
        return hint
    match hint.WhichOneof("hint"):
        case "text_delta":
            return hint if audience.includes(Audience.ADVANCED) else None
        case "render_progress":
            told = run_pb2.Hint(render_progress=hint.render_progress)
            told.render_progress.ClearField("instance")
            told.render_progress.ClearField("node")
            return told
        case "writing_position":
            return hint
        case _:
            return None


def _check_delta(delta: run_pb2.TextDelta, path: str) -> None:
    if delta.entity_type not in _DELTA_TYPES:
        raise InvalidArgument(
            "INVALID_ENTITY_TYPE", "not a text that grows", field=f"{path}.entity_type"
        )
    parse_number(getattr(delta, "pass"), f"{path}.pass", most=MAX_PASS)
    parse_number(delta.offset, f"{path}.offset", most=MAX_INT64)
    if len(delta.text) > MAX_TEXT_CHARACTERS:
        raise InvalidArgument(
            "TEXT_TOO_LONG", f"at most {MAX_TEXT_CHARACTERS} characters", field=f"{path}.text"
        )


def _check_position(position: run_pb2.WritingPosition, path: str) -> None:
    if position.entity_type not in _WRITTEN_TYPES:
        raise InvalidArgument(
            "INVALID_ENTITY_TYPE", "not a text that a model writes", field=f"{path}.entity_type"
        )
    parse_number(position.position, f"{path}.position", most=2**31 - 1)
    parse_number(position.output_index, f"{path}.output_index", most=MAX_OUTPUTS)


def _check_progress(progress: run_pb2.RenderProgress, path: str) -> None:
    parse_number(progress.output_index, f"{path}.output_index", least=1, most=MAX_OUTPUTS)
    if progress.phase not in run_pb2.RenderPhase.values() or not progress.phase:
        raise InvalidArgument("ENUM_REQUIRED", "must be specified", field=f"{path}.phase")
    if not 0.0 <= progress.fraction <= 1.0:  # NaN is in no range
        raise InvalidArgument("OUT_OF_BOUNDS", "expected 0 to 1", field=f"{path}.fraction")
    parse_number(progress.queue_position, f"{path}.queue_position", most=2**31 - 1)
    parse_number(progress.attempt, f"{path}.attempt", most=MAX_ATTEMPT)
    for name in ("instance", "node"):
        if len(getattr(progress, name)) > MAX_LABEL_CHARACTERS:
            raise InvalidArgument(
                "TEXT_TOO_LONG",
                f"at most {MAX_LABEL_CHARACTERS} characters",
                field=f"{path}.{name}",
            )


def _check_preview(preview: run_pb2.Preview, path: str) -> None:
    parse_number(preview.output_index, f"{path}.output_index", least=1, most=MAX_OUTPUTS)
    if preview.media_type not in _PREVIEW_TYPES:
        raise InvalidArgument(
            "MEDIA_TYPE_NOT_ALLOWED", "expected JPEG or WebP", field=f"{path}.media_type"
        )
    if not 1 <= len(preview.data) <= MAX_PREVIEW_BYTES:
        raise InvalidArgument(
            "MEDIA_TOO_LARGE", f"expected 1 to {MAX_PREVIEW_BYTES} bytes", field=f"{path}.data"
        )
