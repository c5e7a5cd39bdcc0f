"""Between the messages about backends in media.proto and our own types."""

from __future__ import annotations

from collections.abc import Sequence

from artlab.media.v1 import media_pb2
from services.kit.enums import value_of
from services.kit.ids import parse_config_name
from services.kit.text import parse_text
from services.media.ports import BackendStatus, InstanceStatus

# A queue is told by somebody else's server, and the field is an int32.
MAX_COUNT = 2**31 - 1


def parse_draining(request: media_pb2.SetInstanceDrainingRequest) -> tuple[str, str]:
    """Backend and address. Raises InvalidArgument with the field's path."""
    return parse_config_name(request.backend, "backend"), parse_text(request.url, "url")


def backends_message(found: Sequence[BackendStatus]) -> media_pb2.ListBackendsResponse:
    """The backends in the order given, each with its instances."""
    answer = media_pb2.ListBackendsResponse()
    for one in found:
        answer.backends.add(
            name=one.name,
            available=one.available,
            reason=one.reason,
            instances=[instance_message(instance) for instance in one.instances],
            waiting=one.waiting,
        )
    return answer


def instance_message(status: InstanceStatus) -> media_pb2.Instance:
    """The message of one instance."""
    return media_pb2.Instance(
        url=status.url,
        state=value_of(media_pb2.InstanceState, status.state),
        reason=status.reason,
        running=status.running,
        waiting=status.waiting,
        queue_length=min(status.queue_length, MAX_COUNT),
        version=status.version,
        vram_total_bytes=status.vram_total_bytes,
        vram_free_bytes=status.vram_free_bytes,
        unfit_configs=status.unfit_configs,
    )
