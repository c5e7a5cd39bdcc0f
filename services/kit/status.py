"""Domain errors to google.rpc.Status and back. The only place that knows both (AIP-193)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.kit import errors
from services.kit.errors import ArtlabError

DETAILS_KEY = "grpc-status-details-bin"
# Clients that get one of these without a time of ours wait this long.
DEFAULT_RETRY_SECONDS = 1.0
_RETRYABLE = (errors.Unavailable, errors.ResourceExhausted)


def domain_of(service: str) -> str:
    """The error domain, e.g. ``recorder.artlab``."""
    return f"{service}.artlab"


def to_status(error: ArtlabError, service: str) -> status_pb2.Status:
    """Return the status a server answers with for this error."""
    status = status_pb2.Status(code=getattr(code_pb2, error.code), message=str(error))
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=domain_of(service), metadata=error.metadata
    )
    status.details.add().Pack(info)
    if error.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.message, reason=error.reason
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, _RETRYABLE):
        seconds = error.retry_after_seconds or DEFAULT_RETRY_SECONDS
        delay = Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_rpc_error(error: grpc.RpcError, service: str) -> ArtlabError:
    """Return what a peer meant. Without our details the reason is ``<SERVICE>_<CODE>``."""
    code = _code(error)
    kind = errors.BY_CODE.get(code.name, errors.Internal)
    reason = f"{service.upper()}_{code.name}"
    message, field, retry_after, metadata = f"{service} answered {code.name}", None, None, {}
    status = _details(error)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
            message = status.message.removeprefix(f"{reason}: ") if status else message
        elif detail.Unpack(bad) and bad.field_violations:
            field = bad.field_violations[0].field
            message = bad.field_violations[0].description
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    return kind(reason, message, field=field, retry_after_seconds=retry_after, metadata=metadata)


@contextmanager
def remote_errors(service: str) -> Iterator[None]:
    """Turn what a stub of `service` raises inside into an ArtlabError."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error, service) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled the caller: the call was cut, as grpc.aio does to those of a channel
        # that is closed. For the caller its peer is away.
        reason = f"{service.upper()}_UNAVAILABLE"
        raise errors.Unavailable(reason, "the call was cut with its channel") from error


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code = getattr(error, "code", None)
    value = code() if callable(code) else None
    return value if isinstance(value, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _details(error: grpc.RpcError) -> status_pb2.Status | None:
    trailing = getattr(error, "trailing_metadata", None)
    for key, value in (trailing() if callable(trailing) else None) or ():
        if key == DETAILS_KEY:
            return status_pb2.Status.FromString(value)
    return None
