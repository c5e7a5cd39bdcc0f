"""The enums of the protos and the words of the domain, both ways. Nothing else maps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.errors import InvalidArgument
from services.recorder.domain.vocabulary import (
    Audience,
    ExecutionMode,
    ExportFormat,
    MediaKind,
    RunState,
    SafetyLevel,
)

W = TypeVar("W")


class Words:
    """The values of one enum by the words of another; UNSPECIFIED has none."""

    def __init__(self, generated: Any, words: type[Any], prefix: str) -> None:
        self._by_value: Mapping[int, Any] = {
            generated.Value(f"{prefix}_{word.name}"): word for word in words
        }
        self._by_word = {word: value for value, word in self._by_value.items()}

    def value(self, word: Any) -> Any:
        """The generated value of a word."""
        return self._by_word[word]

    def word(self, value: int, field: str, among: frozenset[Any] | None = None) -> Any:
        """The word of a received value.

        Raises InvalidArgument ENUM_REQUIRED for UNSPECIFIED, ENUM_NOT_ALLOWED for numbers nobody
        knows and words not in `among`.
        """
        if value == 0:
            raise InvalidArgument("ENUM_REQUIRED", "must be specified", field=field)
        word = self._by_value.get(value)
        if word is None or (among is not None and word not in among):
            raise InvalidArgument("ENUM_NOT_ALLOWED", "not a value for this field", field=field)
        return word


SAFETY_LEVELS = Words(common_pb2.SafetyLevel, SafetyLevel, "SAFETY_LEVEL")
EXECUTION_MODES = Words(common_pb2.ExecutionMode, ExecutionMode, "EXECUTION_MODE")
MEDIA_KINDS = Words(common_pb2.MediaKind, MediaKind, "MEDIA_KIND")
RUN_STATES = Words(run_pb2.RunState, RunState, "RUN_STATE")
AUDIENCES = Words(run_pb2.Audience, Audience, "AUDIENCE")
EXPORT_FORMATS = Words(recorder_pb2.ExportFormat, ExportFormat, "EXPORT_FORMAT")
