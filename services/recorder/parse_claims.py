"""Messages about claims into the types of the domain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from artlab.recorder.v1 import recorder_pb2
from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.recorder.domain.claim import (
    MAX_EPOCH,
    MAX_TTL_MS,
    MIN_TTL_MS,
    Claimant,
    parse_owner,
)
from services.recorder.parse_values import parse_milliseconds, parse_number

MAX_HELD = 10_000
MAX_DELAY = timedelta(days=30)


def parse_epoch(epoch: int) -> int:
    """Return the epoch of a write; 0 is of somebody who drives nothing."""
    return parse_number(epoch, "epoch", most=MAX_EPOCH)


def parse_claimant(
    request: recorder_pb2.CreateRunRequest
    | recorder_pb2.ClaimRunRequest
    | recorder_pb2.RenewClaimsRequest,
) -> Claimant:
    """Return who wants to drive.

    Raises InvalidArgument CLAIM_REQUIRED, INVALID_OWNER, INVALID_DURATION.
    """
    if not request.HasField("claim"):
        raise InvalidArgument("CLAIM_REQUIRED", "must be set", field="claim")
    return Claimant(
        parse_owner(request.claim.owner, "claim.owner"),
        parse_milliseconds(request.claim.ttl, "claim.ttl", least=MIN_TTL_MS, most=MAX_TTL_MS),
    )


def parse_held(held: Sequence[recorder_pb2.HeldClaim]) -> Sequence[tuple[RunId, int]]:
    """Return runs and the epochs under which somebody believes to have them."""
    if len(held) > MAX_HELD:
        raise InvalidArgument("TOO_MANY", f"at most {MAX_HELD}", field="held")
    return [
        (
            RunId.parse_name(one.name, f"held[{place}].name"),
            parse_number(one.epoch, f"held[{place}].epoch", least=1, most=MAX_EPOCH),
        )
        for place, one in enumerate(held)
    ]


def parse_release(
    request: recorder_pb2.ReleaseClaimRequest,
) -> tuple[RunId, str, int, timedelta]:
    """Return the run, its driver's name, the epoch and how long it is to be left alone."""
    most = MAX_DELAY // timedelta(milliseconds=1)
    return (
        RunId.parse_name(request.name),
        parse_owner(request.owner, "owner"),
        parse_number(request.epoch, "epoch", least=1, most=MAX_EPOCH),
        timedelta(milliseconds=parse_milliseconds(request.delay, "delay", most=most)),
    )
