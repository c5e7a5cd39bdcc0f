"""Requests into types that cannot be wrong, in the order of the proto's fields."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import cast

import orjson

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2
from services.kit.enums import parse_enum
from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, parse_config_name, parse_pseudonym
from services.kit.text import MAX_TEXT_CHARACTERS, parse_text
from services.orchestrator.domain.lineage import Rerun
from services.orchestrator.domain.plan import DEFAULT_PIPELINE, MAX_OUTPUTS, MAX_SEED, RunRequest
from services.orchestrator.domain.run import Level, Mode
from services.orchestrator.domain.slots import Value

# A run takes no more pictures than this.
MAX_INPUT_IMAGES = 4
MAX_PICTURE_BYTES = 32 * 1024 * 1024
MAX_PICTURE_CHUNK_BYTES = 256 * 1024
MAX_PARAMETERS = 64
FIRST_RERUN_STAGE, LAST_RERUN_STAGE = 2, 4
# Fields of StartRunRequest that are the parent's when they are not set.
_INHERITABLE = (
    "config_name",
    "input_text",
    "context",
    "output_configs",
    "safety_level",
    "execution_mode",
    "seed",
    "language",
    "input_images",
    "parameters",
    "pipeline",
)
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)

# A language, and a script or region if need be; the rest of BCP 47 names nothing we could use.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}", re.ASCII)


def run_request(request: orchestrator_pb2.StartRunRequest) -> RunRequest:
    """Return what a person asks for. Raises InvalidArgument with the field's path.

    A request that goes on from another run may leave to it what it does not set.
    """
    run_id = RunId.parse(request.request_id, "request_id")
    goes_on = request.HasField("rerun")
    config_name, input_text = request.config_name, request.input_text
    if config_name or not goes_on:
        config_name = parse_config_name(config_name)
    if input_text or not goes_on:
        input_text = parse_text(input_text, "input_text")
    user_id = parse_pseudonym(request.user_id)
    context = parse_text(request.context, "context", optional=True)
    if len(request.output_configs) > MAX_OUTPUTS:
        raise InvalidArgument(
            "TOO_MANY_OUTPUTS", f"at most {MAX_OUTPUTS} outputs", field="output_configs"
        )
    outputs = tuple(
        parse_config_name(name, f"output_configs[{position}]")
        for position, name in enumerate(request.output_configs)
    )
    level = parse_enum(common_pb2.SafetyLevel, request.safety_level, "safety_level", optional=True)
    mode = parse_enum(
        common_pb2.ExecutionMode, request.execution_mode, "execution_mode", optional=True
    )
    seed = request.seed if request.HasField("seed") else None
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise InvalidArgument("INVALID_SEED", "expected 0 to 2^53 - 1", field="seed")
    if request.language and _LANGUAGE.fullmatch(request.language) is None:
        raise InvalidArgument("INVALID_LANGUAGE", "expected a BCP 47 tag", field="language")
    if not 0 <= request.input_images <= MAX_INPUT_IMAGES:
        raise InvalidArgument(
            "OUT_OF_BOUNDS", f"expected 0 to {MAX_INPUT_IMAGES}", field="input_images"
        )
    parameters = _parameters(request.parameters)
    pipeline = DEFAULT_PIPELINE
    if request.pipeline:
        pipeline = parse_config_name(request.pipeline, "pipeline")
    return RunRequest(
        run_id=run_id,
        config_name=config_name,
        input_text=input_text,
        user_id=user_id,
        context=context if context.strip() else "",
        output_configs=outputs,
        level=cast("Level", level) if level else None,
        mode=cast("Mode", mode or "eco"),
        seed=seed,
        language=request.language,
        input_images=request.input_images,
        parameters=parameters,
        allow_reuse=request.allow_reuse,
        pipeline=pipeline,
        pause_before_render=request.pause_before_render,
        rerun=_rerun(request) if goes_on else None,
    )


def _rerun(request: orchestrator_pb2.StartRunRequest) -> Rerun:
    rerun = request.rerun
    parent = RunId.parse_name(rerun.parent, "rerun.parent")
    if not FIRST_RERUN_STAGE <= rerun.from_stage <= LAST_RERUN_STAGE:
        raise InvalidArgument("OUT_OF_BOUNDS", "expected 2 to 4", field="rerun.from_stage")
    text = parse_text(rerun.text, "rerun.text", optional=True)
    if text.strip() and rerun.from_stage == FIRST_RERUN_STAGE:
        raise InvalidArgument(
            "TEXT_NOT_EXPECTED", "stage 2 makes a text of its own", field="rerun.text"
        )
    text = text if text.strip() else ""
    unset = [name for name in _INHERITABLE if not _is_set(request, name)]
    return Rerun(
        parent=parent,
        from_stage=rerun.from_stage,
        text=text,
        text_sha256=hashlib.sha256(text.encode()).hexdigest() if text else "",
        unset=tuple(sorted(unset)),
    )


def _is_set(request: orchestrator_pb2.StartRunRequest, name: str) -> bool:
    if name == "seed":
        return request.HasField("seed")
    if name == "context":
        return bool(request.context.strip())
    return bool(getattr(request, name))


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
        value = orjson.loads(text) if len(text) <= 8 * MAX_TEXT_CHARACTERS else None
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, str):
        return parse_text(value, field, optional=True)
    if not isinstance(value, bool | int | float):
        raise InvalidArgument("INVALID_PARAMETER", "expected a JSON scalar", field=field)
    return value


async def picture_of(
    requests: AsyncIterator[orchestrator_pb2.AddInputImageRequest],
) -> tuple[RunId, int, AsyncIterator[bytes]]:
    """Return the run, the index from 1, and the bytes as they come.

    Raises InvalidArgument with the field's path; the bytes raise MEDIA_TOO_LARGE past 32 MiB.
    """
    head = await anext(requests, orchestrator_pb2.AddInputImageRequest())
    run_id = RunId.parse_name(head.name)
    if not 1 <= head.index <= MAX_INPUT_IMAGES:
        raise InvalidArgument("OUT_OF_BOUNDS", f"expected 1 to {MAX_INPUT_IMAGES}", field="index")
    return run_id, head.index, _bounded(head, requests)


async def _bounded(
    head: orchestrator_pb2.AddInputImageRequest,
    rest: AsyncIterator[orchestrator_pb2.AddInputImageRequest],
) -> AsyncIterator[bytes]:
    size = 0
    request: orchestrator_pb2.AddInputImageRequest | None = head
    while request is not None:
        size += len(request.data)
        if len(request.data) > MAX_PICTURE_CHUNK_BYTES:
            raise InvalidArgument(
                "OUT_OF_BOUNDS", f"at most {MAX_PICTURE_CHUNK_BYTES} bytes a message", field="data"
            )
        if size > MAX_PICTURE_BYTES:
            raise InvalidArgument(
                "MEDIA_TOO_LARGE", f"at most {MAX_PICTURE_BYTES} bytes", field="data"
            )
        if request.data:
            yield request.data
        request = await anext(rest, None)
    # The stream of a cancelled call ends like a whole one; that it is cancelled comes right after.
    await asyncio.sleep(0)
