"""A gRPC server with the settings that were measured (docs/adr/0003-grpc-settings.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.kit.errors import Unavailable
from services.kit.interceptors import ServiceGuard

MAX_MESSAGE_BYTES = 4 * 1024 * 1024

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    # At the defaults a burst of 2 000 calls loses 7 % to CANCELLED.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
    # Clients ping every 10 s, also while nothing flows.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Callers connect anew now and then, and so find copies that were added (--scale). Open calls
    # stay on the old connection to their end; at 0.2 s none of 74 000 calls failed.
    ("grpc.max_connection_age_ms", 30_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # What came in but was not read yet is lost with its connection, and has to be sent again. gRPC
    # lets that grow to megabytes; one chunk ahead is as fast on a local network.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 256 * 1024),
    ("grpc.max_metadata_size", 16 * 1024),
    # Without this two servers share one port in silence.
    ("grpc.so_reuseport", 0),
)


class _GuardedServer(grpc.aio.Server):
    """Guards what is registered. An interceptor of gRPC's would be asked anew at every call."""

    def __init__(self, server: grpc.aio.Server, guard: ServiceGuard) -> None:
        self._server = server
        self._guard = guard

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """Register handlers, guarded."""
        self._server.add_generic_rpc_handlers(
            [self._guard.handlers(one) for one in generic_rpc_handlers]
        )

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Register methods, guarded once for all; gRPC looks here first."""
        guarded = {
            name: self._guard.handler(f"/{service_name}/{name}", handler)
            for name, handler in method_handlers.items()
        }
        self._server.add_registered_method_handlers(service_name, guarded)

    def add_insecure_port(self, address: str) -> int:
        """As grpc.aio.Server."""
        return self._server.add_insecure_port(address)

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """As grpc.aio.Server."""
        return self._server.add_secure_port(address, server_credentials)

    async def start(self) -> None:
        """As grpc.aio.Server."""
        await self._server.start()

    async def stop(self, grace: float | None) -> None:
        """As grpc.aio.Server."""
        await self._server.stop(grace)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """As grpc.aio.Server."""
        return await self._server.wait_for_termination(timeout)


class GrpcServer:
    """One service on one port, with health. Register the servicer on `.grpc`.

    Args:
        service: short name, e.g. ``recorder``.
        caps: seconds a method may take, by method name.
        serving: False when calls are not welcome yet: `set_serving` says when.
    """

    def __init__(
        self, service: str, *, caps: Mapping[str, float] | None = None, serving: bool = True
    ) -> None:
        self.service = service
        self._serving = serving
        server = grpc.aio.server(options=SERVER_OPTIONS)
        self.grpc = _GuardedServer(server, ServiceGuard(service, caps))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)

    async def start(self, address: str) -> int:
        """Listen on host:port (port 0: any free one) and say so by health; return the port.

        Raises Unavailable PORT_IN_USE.
        """
        try:
            port = self.grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise Unavailable("PORT_IN_USE", f"cannot listen on {address}") from error
        await self.grpc.start()
        await self.set_serving(self._serving)
        return port

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks whether calls are welcome."""
        self._serving = serving
        status = health_pb2.HealthCheckResponse.ServingStatus
        value = status.SERVING if serving else status.NOT_SERVING
        await self._health.set("", value)

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, give open ones the grace, then cancel them."""
        await self._health.enter_graceful_shutdown()
        await self.grpc.stop(grace_seconds)
