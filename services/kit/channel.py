"""Channels to other services, with the settings that were measured, and their health."""

from __future__ import annotations

import grpc
import grpc.aio
import orjson
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.kit.renewal import RenewedChannel, RenewedSyncChannel
from services.kit.server import MAX_MESSAGE_BYTES

_RETRY = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

# gRPC would send even loopback calls to a proxy that the environment names for the world outside.
_NO_PROXY = ("grpc.enable_http_proxy", 0)

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    _NO_PROXY,
    # A frozen peer is noticed after 13 s instead of 70 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # 0.8 s to be back after an outage instead of 10.3 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_retries", 1),
    ("grpc.service_config", orjson.dumps(_RETRY).decode()),
    # dns:/// names with several addresses (compose --scale) are shared out in turn.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
)


# Replicas are asked for their health all the time, so that calls go to those that serve.
_ONLY_SERVING = {**_RETRY, "healthCheckConfig": {"serviceName": ""}}
REPLICA_OPTIONS = (
    *(option for option in CHANNEL_OPTIONS if option[0] != "grpc.service_config"),
    ("grpc.service_config", orjson.dumps(_ONLY_SERVING).decode()),
)


def open_channel(target: str, *, only_serving: bool = False) -> grpc.aio.Channel:
    """A lazy asyncio channel; close it with ``async with`` or ``await channel.close()``.

    Args:
        target: where the peer is; replicas as numbers with commas between (`settings.Targets`), or
            by a name with several addresses, get calls in turn.
        only_serving: whether one of several replicas is left out while it says that it does not
            serve, as one does that drains. A single peer is always asked.
    """
    several = "," in target or target.startswith("dns:")
    options = REPLICA_OPTIONS if only_serving and several else CHANNEL_OPTIONS
    address = _address(target)
    return RenewedChannel(lambda: grpc.aio.insecure_channel(address, options=options))


def _address(target: str) -> str:
    if "," not in target:
        return target
    return f"{'ipv6' if target.startswith('[') else 'ipv4'}:{target}"


def open_sync_channel(target: str) -> grpc.Channel:
    """A lazy channel for threads that move bytes; close it with ``with``."""
    return RenewedSyncChannel(lambda: grpc.insecure_channel(target, options=CHANNEL_OPTIONS))


async def is_serving(target: str, timeout_seconds: float = 2.0) -> bool:
    """Ask the peer's health service, with a connection of its own; False covers every failure."""
    async with grpc.aio.insecure_channel(
        target, options=(("grpc.use_local_subchannel_pool", 1), _NO_PROXY)
    ) as channel:
        return await channel_is_serving(channel, timeout_seconds)


async def channel_is_serving(channel: grpc.aio.Channel, timeout_seconds: float = 2.0) -> bool:
    """Ask the health service of the peer behind a channel; False covers every failure."""
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_seconds)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
