"""Between the messages of media.proto and our own types."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

import orjson

from artlab.common.v1 import common_pb2
from artlab.media.v1 import media_pb2
from artlab.recorder.v1 import run_pb2
from services.kit.enums import value_of
from services.kit.errors import InvalidArgument
from services.kit.ids import UploadName, parse_config_name
from services.kit.text import parse_text
from services.media.domain.output_config import MediaKind, Value
from services.media.domain.request import MAX_SEED, MediaRequest, Recorded
from services.media.jobs import Availability
from services.media.progress import JobProgress

Defaults = Mapping[tuple[MediaKind, Literal["eco", "fast"]], Sequence[str]]

MAX_OUTPUTS = 1000
MAX_PARAMETERS = 64
MAX_PARAMETER_CHARACTERS = 20_000
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,39}")


def parse_generate(request: media_pb2.GenerateMediaRequest) -> MediaRequest:
    """Parse every field, in proto order. Raises InvalidArgument with the field's path."""
    upload = UploadName.parse(request.upload)
    output_config = parse_config_name(request.output_config, "output_config")
    prompt = parse_text(request.prompt, "prompt")
    if not 1 <= request.output_index <= MAX_OUTPUTS:
        raise InvalidArgument(
            "INVALID_OUTPUT_INDEX", f"expected 1 to {MAX_OUTPUTS}", field="output_index"
        )
    seed = request.seed if request.HasField("seed") else None
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise InvalidArgument("INVALID_SEED", "expected 0 to 2^53 - 1", field="seed")
    parameters = _parameters(request.parameters)
    recipe = parse_config_name(request.recipe, "recipe") if request.recipe else ""
    return MediaRequest(
        upload, output_config, prompt, request.output_index, seed, recipe, parameters
    )


def _parameters(given: Mapping[str, str]) -> dict[str, Value]:
    if len(given) > MAX_PARAMETERS:
        raise InvalidArgument(
            "TOO_MANY_PARAMETERS", f"at most {MAX_PARAMETERS}", field="parameters"
        )
    parsed: dict[str, Value] = {}
    for name in sorted(given):
        if _PARAMETER.fullmatch(name) is None:
            raise InvalidArgument(
                "UNKNOWN_PARAMETER", "a name is ^[a-z][a-z0-9_]{0,39}$", field="parameters"
            )
        parsed[name] = _scalar(given[name], f"parameters.{name}")
    return parsed


def _scalar(text: str, field: str) -> Value:
    try:
        value = orjson.loads(text) if len(text) <= MAX_PARAMETER_CHARACTERS else None
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, bool | int | float | str):
        raise InvalidArgument("INVALID_PARAMETER", "expected a JSON scalar", field=field)
    return value


def progress_message(progress: JobProgress, output_index: int) -> media_pb2.GenerateMediaResponse:
    """The message of a progress."""
    message = run_pb2.RenderProgress(
        output_index=output_index,
        phase=value_of(run_pb2.RenderPhase, progress.phase),
        fraction=progress.fraction,
        queue_position=progress.queue_position,
        attempt=progress.attempt,
        instance=progress.instance,
        node=progress.node,
    )
    if progress.remaining_seconds is not None:
        message.remaining.FromTimedelta(timedelta(seconds=progress.remaining_seconds))
    return media_pb2.GenerateMediaResponse(progress=message)


def result_message(recorded: Recorded) -> media_pb2.GenerateMediaResponse:
    """The last message of a job that ended well."""
    entity = run_pb2.Entity.FromString(recorded.wire)
    return media_pb2.GenerateMediaResponse(result=media_pb2.MediaResult(entities=[entity]))


def list_message(
    found: Sequence[Availability], defaults: Defaults
) -> media_pb2.ListOutputConfigsResponse:
    """Configs by name, then the defaults."""
    answer = media_pb2.ListOutputConfigsResponse()
    for one in found:
        message = answer.configs.add(
            name=one.config.name,
            kind=value_of(common_pb2.MediaKind, one.config.kind),
            backend=one.config.backend,
            available=one.reason is None,
            reason=one.reason or "",
            title=one.config.title,
        )
        if one.typical_seconds is not None:
            message.typical_duration.FromTimedelta(timedelta(seconds=one.typical_seconds))
    for (kind, mode), names in defaults.items():
        answer.defaults.add(
            kind=value_of(common_pb2.MediaKind, kind),
            execution_mode=value_of(common_pb2.ExecutionMode, mode),
            output_configs=names,
        )
    return answer
