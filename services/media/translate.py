"""Between the messages of media.proto and our own types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Literal

import orjson

from artlab.common.v1 import common_pb2
from artlab.media.v1 import media_pb2
from artlab.recorder.v1 import run_pb2
from services.kit.enums import value_of
from services.kit.errors import InvalidArgument
from services.kit.ids import EntityName, UploadName, parse_config_name, parse_pseudonym
from services.kit.text import parse_text
from services.media.domain.output_config import MAX_SLOT_CHARACTERS, MediaKind, Slot, Value
from services.media.domain.request import MAX_SEED, MediaRequest, Result
from services.media.making import Availability
from services.media.pictures import PreparedImage
from services.media.ports import Preview
from services.media.progress import JobProgress, JobWarning, News

Defaults = Mapping[tuple[MediaKind, Literal["eco", "fast"]], Sequence[str]]

CHUNK_BYTES = 256 * 1024
MAX_OUTPUTS = 1000
MAX_PARAMETERS = 64
MAX_INPUT_IMAGES = 16
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
    user_id = parse_pseudonym(request.user_id) if request.user_id else ""
    input_images = _input_images(request.input_images, upload)
    if request.epoch < 0:
        raise InvalidArgument("OUT_OF_BOUNDS", "expected 0 or more", field="epoch")
    return MediaRequest(
        upload=upload,
        output_config=output_config,
        prompt=prompt,
        output_index=request.output_index,
        seed=seed,
        recipe=recipe,
        parameters=parameters,
        user_id=user_id,
        input_images=input_images,
        allow_reuse=request.allow_reuse,
        epoch=request.epoch,
        adopt_only=request.adopt_only,
        local_only=request.local_only,
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


def _input_images(given: Mapping[str, str], upload: UploadName) -> dict[str, EntityName]:
    if len(given) > MAX_INPUT_IMAGES:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_INPUT_IMAGES}", field="input_images")
    parsed: dict[str, EntityName] = {}
    for slot in sorted(given):
        if _PARAMETER.fullmatch(slot) is None:
            raise InvalidArgument(
                "UNKNOWN_PARAMETER", "a name is ^[a-z][a-z0-9_]{0,39}$", field="input_images"
            )
        name = EntityName.parse(given[slot], f"input_images.{slot}")
        if name.run != upload.run:
            # What somebody else brought is not for this run.
            raise InvalidArgument(
                "INPUT_IMAGE_UNFIT", "not a picture of this run", field=f"input_images.{slot}"
            )
        parsed[slot] = name
    return parsed


def _scalar(text: str, field: str) -> Value:
    try:
        value = orjson.loads(text) if len(text) <= MAX_PARAMETER_CHARACTERS else None
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, bool | int | float | str):
        raise InvalidArgument("INVALID_PARAMETER", "expected a JSON scalar", field=field)
    return value


def news_message(news: News, output_index: int) -> media_pb2.GenerateMediaResponse:
    """The message of a progress, a preview or a warning."""
    answer = media_pb2.GenerateMediaResponse()
    if isinstance(news, Preview):
        answer.preview.CopyFrom(
            run_pb2.Preview(output_index=output_index, media_type=news.media_type, data=news.data)
        )
    elif isinstance(news, JobWarning):
        answer.warning.CopyFrom(
            run_pb2.Warning(reason=news.reason, message=news.message, output_index=output_index)
        )
    else:
        answer.progress.CopyFrom(_progress(news, output_index))
    return answer


def _progress(progress: JobProgress, output_index: int) -> run_pb2.RenderProgress:
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
    return message


def result_message(result: Result) -> media_pb2.GenerateMediaResponse:
    """The last message of a job that ended well."""
    entities = [run_pb2.Entity.FromString(recorded.wire) for recorded in result.files]
    return media_pb2.GenerateMediaResponse(result=media_pb2.MediaResult(entities=entities))


def picture_messages(picture: PreparedImage) -> Iterator[media_pb2.PrepareImageResponse]:
    """A prepared picture in chunks; the first message says what follows."""
    message = media_pb2.PrepareImageResponse(
        media_type=picture.media_type, width=picture.width, height=picture.height
    )
    view = memoryview(picture.data)
    for at in range(0, len(view), CHUNK_BYTES):
        message.data = bytes(view[at : at + CHUNK_BYTES])
        yield message
        message = media_pb2.PrepareImageResponse()


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
            runs_as=one.runs_as,
            input_image_slots=one.config.image_slots,
            text_slots=[name for name, slot in one.config.slots.items() if slot.kind == "text"],
            prompt_style=one.config.prompt_style,
            parameters=[name for name, slot in one.config.slots.items() if slot.kind != "image"],
            parameter_specs=[
                parameter_spec(slot) for slot in one.config.slots.values() if slot.kind != "image"
            ],
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


def parameter_spec(slot: Slot) -> media_pb2.ParameterSpec:
    """What a slot takes, for whoever asks before it is asked for."""
    return media_pb2.ParameterSpec(
        name=slot.name,
        kind=value_of(media_pb2.ParameterKind, slot.kind),
        default_value=orjson.dumps(slot.default).decode(),
        minimum=slot.minimum,
        maximum=slot.maximum,
        multiple_of=slot.multiple_of or 0,
        remainder=slot.remainder,
        choices=tuple(slot.loras) if slot.kind == "loras" else slot.choices,
        at_most=slot.at_most if slot.kind == "loras" else 0,
        max_characters=MAX_SLOT_CHARACTERS if slot.kind == "text" else 0,
    )
