"""What happens around every call a server answers, so that no servicer repeats it.

In order: a message that does not parse is INVALID_ARGUMENT; a call has a deadline, the client's or
the method's own cap, whichever is shorter; the run's id is on every log line; an ArtlabError
becomes its status; anything else becomes INTERNAL without a word of its text (grpc.aio alone would
send it to the client).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
import grpc.aio

from services.kit.deadline import deadline_in
from services.kit.errors import ArtlabError, DeadlineExceeded, Internal, InvalidArgument
from services.kit.ids import RunId
from services.kit.log import facts, run_logged
from services.kit.status import DETAILS_KEY, to_status

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
DEFAULT_CAP_SECONDS = 30.0
# gRPC rounds deadlines up to a millisecond or so; with no more than that left, it is over.
TOO_LATE_SECONDS = 0.002


class _Malformed:
    """Stands for a message that did not parse."""


class ServiceGuard:
    """Wraps the handlers of one service, each once, as they are registered.

    Args:
        service: short name, e.g. ``recorder``; becomes the error domain.
        caps: seconds a method may take, by method name; others get 30 s.
    """

    def __init__(self, service: str, caps: Mapping[str, float] | None = None) -> None:
        self._service = service
        self._caps = dict(caps or {})

    def handlers(self, handlers: grpc.GenericRpcHandler) -> grpc.GenericRpcHandler:
        """Return handlers that wrap what these answer."""
        return _GuardedHandlers(handlers, self)

    def handler(self, name: str, handler: Any) -> Any:
        """Return a method's handler, wrapped; `name` is /package.Service/Method."""
        if name.startswith("/grpc.health."):
            return handler
        method = name.rsplit("/", 1)[-1]
        guard = _Guard(self._service, method, self._caps.get(method, DEFAULT_CAP_SECONDS))
        parse = handler.request_deserializer
        kinds = {
            (False, False): (grpc.unary_unary_rpc_method_handler, guard.unary, "unary_unary"),
            (False, True): (grpc.unary_stream_rpc_method_handler, guard.stream, "unary_stream"),
            (True, False): (grpc.stream_unary_rpc_method_handler, guard.unary, "stream_unary"),
            (True, True): (grpc.stream_stream_rpc_method_handler, guard.stream, "stream_stream"),
        }
        make, wrap, attribute = kinds[handler.request_streaming, handler.response_streaming]
        return make(
            wrap(getattr(handler, attribute)),  # type: ignore[operator]
            request_deserializer=_tolerant(parse),
            response_serializer=handler.response_serializer,
        )


class _GuardedHandlers(grpc.GenericRpcHandler):
    def __init__(self, handlers: grpc.GenericRpcHandler, guard: ServiceGuard) -> None:
        self._handlers = handlers
        self._guard = guard

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the wrapped handler; None when there is no such method."""
        handler = self._handlers.service(handler_call_details)
        return handler and self._guard.handler(handler_call_details.method, handler)


def _tolerant(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse_or_mark(data: bytes) -> Any:
        try:
            return parse(data)
        except Exception:  # protobuf raises DecodeError, upb sometimes RuntimeError
            return _Malformed()

    return parse_or_mark


def _malformed() -> InvalidArgument:
    return InvalidArgument("MALFORMED_MESSAGE", "the message is not valid protobuf")


async def _checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, _Malformed):
            raise _malformed()
        yield request


class _Guard:
    def __init__(self, service: str, method: str, cap: float) -> None:
        self._service, self._method, self._cap = service, method, cap

    def unary(self, call: Callable[[Any, Context], Awaitable[Any]]) -> Any:
        async def guarded(request: Any, context: Context) -> Any:
            seconds = self._seconds(context)
            with run_logged(_run_of(request)), deadline_in(seconds):
                try:
                    async with asyncio.timeout(seconds):
                        return await call(self._prepared(request, seconds), context)
                except Exception as error:
                    await self._abort(context, error)

        return guarded

    def stream(self, call: Callable[[Any, Context], AsyncGenerator[Any, None]]) -> Any:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            seconds = self._seconds(context)
            with run_logged(_run_of(request)), deadline_in(seconds):
                try:
                    async with asyncio.timeout(seconds):
                        responses = call(self._prepared(request, seconds), context)
                        # Closed with this generator, not whenever garbage is collected.
                        async with aclosing(responses):
                            async for response in responses:
                                yield response
                except Exception as error:
                    await self._abort(context, error)

        return guarded

    def _seconds(self, context: Context) -> float:
        left = context.time_remaining()
        return self._cap if left is None else min(left, self._cap)

    def _prepared(self, request: Any, seconds: float) -> Any:
        # A handler that never waits would act before a timeout of zero could fire.
        if seconds <= TOO_LATE_SECONDS:
            raise TimeoutError
        if isinstance(request, _Malformed):
            raise _malformed()
        return _checked(request) if hasattr(request, "__aiter__") else request

    async def _abort(self, context: Context, error: Exception) -> NoReturn:
        if isinstance(error, TimeoutError):
            error = DeadlineExceeded("DEADLINE", f"{self._method} took too long")
        if not isinstance(error, ArtlabError):
            log.error("unexpected error", exc_info=error, extra=facts(method=self._method))
            error = Internal("INTERNAL", "internal error")
        elif isinstance(error, Internal):
            log.error("internal error", exc_info=error, extra=facts(method=self._method))
        else:
            log.info("refused", extra=facts(method=self._method, reason=error.reason))
        status = to_status(error, self._service)
        await context.abort(
            grpc.StatusCode[error.code],
            status.message,
            ((DETAILS_KEY, status.SerializeToString()),),
        )


def _run_of(request: Any) -> str:
    for field in ("name", "upload", "request_id"):
        text = getattr(request, field, "")
        if isinstance(text, str) and text:
            try:
                return str(RunId.parse(text.removeprefix("runs/").split("/", 1)[0]))
            except InvalidArgument:
                return ""
    return ""
