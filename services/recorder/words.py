"""The enums of the protos and the words of the domain, both ways. Nothing else maps them."""

from __future__ import annotations

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.enums import Words
from services.recorder.domain.vocabulary import (
    Audience,
    ExecutionMode,
    ExportFormat,
    MediaKind,
    RunState,
    SafetyLevel,
)

SAFETY_LEVELS = Words(common_pb2.SafetyLevel, SafetyLevel)
EXECUTION_MODES = Words(common_pb2.ExecutionMode, ExecutionMode)
MEDIA_KINDS = Words(common_pb2.MediaKind, MediaKind)
RUN_STATES = Words(run_pb2.RunState, RunState)
AUDIENCES = Words(run_pb2.Audience, Audience)
EXPORT_FORMATS = Words(recorder_pb2.ExportFormat, ExportFormat)
