"""Between the generated types and ours: what writes here, and how far a model is."""

from __future__ import annotations

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2 as pb
from services.interception.ports import ExecutionMode
from services.interception.provider_list import ProviderView, Warming
from services.interception.providers.chat import State
from services.kit.errors import InvalidArgument

_STATES: dict[State, pb.ProviderState.ValueType] = {
    "ready": pb.PROVIDER_STATE_READY,
    "loading": pb.PROVIDER_STATE_LOADING,
    "model_missing": pb.PROVIDER_STATE_MODEL_MISSING,
    "unreachable": pb.PROVIDER_STATE_UNREACHABLE,
    "refused": pb.PROVIDER_STATE_REFUSED,
    "unknown": pb.PROVIDER_STATE_UNKNOWN,
}
_MODES: dict[int, tuple[ExecutionMode, ...]] = {
    common_pb2.EXECUTION_MODE_UNSPECIFIED: ("eco", "fast"),
    common_pb2.EXECUTION_MODE_ECO: ("eco",),
    common_pb2.EXECUTION_MODE_FAST: ("fast",),
}


def parse_modes(mode: int) -> tuple[ExecutionMode, ...]:
    """The modes to warm up; unspecified means all. Raises InvalidArgument."""
    if mode not in _MODES:
        raise InvalidArgument(
            "INVALID_EXECUTION_MODE", "expected ECO, FAST or nothing", field="execution_mode"
        )
    return _MODES[mode]


def provider_message(view: ProviderView) -> pb.Provider:
    """One provider."""
    return pb.Provider(
        name=view.name,
        protocol=view.protocol,
        models=view.models,
        remote=view.remote,
        state=_STATES[view.sight.state],
        reason=view.sight.detail,
        running=view.running,
        waiting=view.waiting,
        concurrency=view.concurrency,
    )


def warming_message(warming: Warming) -> pb.WarmUpResponse:
    """How far one model is."""
    message = pb.WarmUpResponse(
        provider=warming.provider,
        model=warming.model,
        state=_STATES[warming.sight.state],
        detail=warming.sight.detail,
    )
    if warming.sight.progress is not None:
        message.progress = warming.sight.progress
    return message
