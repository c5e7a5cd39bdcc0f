"""Whether a service answers: gRPC health, the gateway's ``/ready``, or NATS' greeting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx

from services.cli.wiring import ServiceSpec
from services.kit.channel import is_serving

PROBE_SECONDS = 2.0

Probe = Callable[[ServiceSpec], Awaitable[bool]]


async def probe(spec: ServiceSpec) -> bool:
    """Whether the service is ready for work now; False covers every failure."""
    if not await _listens(spec.target):
        return False
    if spec.kind == "gateway":
        return await _http_ready(spec.target)
    if spec.kind == "nats":
        return await _greets(spec.target)
    return await is_serving(spec.target, PROBE_SECONDS)


async def _listens(target: str) -> bool:
    # Asked first because it costs 0.1 ms, and a gRPC channel to nowhere some 10 ms.
    host, _, port = target.rpartition(":")
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def _greets(target: str) -> bool:
    """Whether a NATS server with JetStream says that it is there; it speaks first."""
    host, _, port = target.rpartition(":")
    writer = None
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, int(port))
            told = await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        if writer is not None:
            writer.close()
    return told.startswith(b"INFO ") and b'"jetstream":true' in told


async def _http_ready(target: str) -> bool:
    # No proxy of the environment: this never leaves the machine.
    async with httpx.AsyncClient(trust_env=False, timeout=PROBE_SECONDS) as client:
        try:
            return (await client.get(f"http://{target}/ready")).status_code == 200
        except httpx.HTTPError:
            return False
