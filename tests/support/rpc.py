"""What a client sees of an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import grpc.aio
import pytest

from services.kit.status import from_rpc_error


@dataclass
class Seen:
    """Status code, reason, field and message of the error, filled when the block ends."""

    code: str = ""
    reason: str = ""
    field: str | None = None
    message: str = ""
    retry_after_seconds: float | None = None
    metadata: Mapping[str, str] = dataclass_field(default_factory=dict)


@asynccontextmanager
async def refused(
    code: str, reason: str | None = None, field: str | None = None
) -> AsyncIterator[Seen]:
    """The calls inside must fail with this code (and reason, and field)."""
    seen = Seen()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield seen
    error = from_rpc_error(caught.value, "peer")
    seen.code = caught.value.code().name
    seen.reason, seen.field, seen.message = error.reason, error.field, error.message
    seen.retry_after_seconds = error.retry_after_seconds
    seen.metadata = error.metadata
    assert seen.code == code, f"{seen}"
    if reason is not None:
        assert seen.reason == reason, f"{seen}"
    if field is not None:
        assert seen.field == field, f"{seen}"
