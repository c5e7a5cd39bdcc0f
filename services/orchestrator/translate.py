"""Requests into types that cannot be wrong, in the order of the proto's fields."""

from __future__ import annotations

import re
from typing import cast

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2
from services.kit.enums import parse_enum
from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, parse_config_name, parse_pseudonym
from services.kit.text import parse_text
from services.orchestrator.domain.plan import MAX_OUTPUTS, MAX_SEED, RunRequest
from services.orchestrator.domain.run import Level, Mode

# A language, and a script or region if need be; the rest of BCP 47 names nothing we could use.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}", re.ASCII)


def run_request(request: orchestrator_pb2.StartRunRequest) -> RunRequest:
    """Return what a person asks for. Raises InvalidArgument with the field's path."""
    run_id = RunId.parse(request.request_id, "request_id")
    config_name = parse_config_name(request.config_name)
    input_text = parse_text(request.input_text, "input_text")
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
    )
