"""Positions in line as messages."""

from __future__ import annotations

from datetime import timedelta

from artlab.orchestrator.v1 import orchestrator_pb2
from services.orchestrator.position import Position


def position_message(position: Position) -> orchestrator_pb2.GetQueuePositionResponse:
    """Return where a run stands; what nobody can tell stays unset."""
    message = orchestrator_pb2.GetQueuePositionResponse(position=position.ahead)
    if position.wait_seconds is not None:
        message.estimated_wait.FromTimedelta(timedelta(seconds=position.wait_seconds))
    if position.total_seconds is not None:
        message.estimated_total.FromTimedelta(timedelta(seconds=position.total_seconds))
    return message
