"""What a client sees of an error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

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
    assert seen.code == code, f"{seen}"
    if reason is not None:
        assert seen.reason == reason, f"{seen}"
    if field is not None:
        assert seen.field == field, f"{seen}"
