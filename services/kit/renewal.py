"""Channels that look their peer up anew when it cannot be reached.

gRPC asks the name service again after 1 s, 1.6 s, 2.6 s … up to 120 s, and has no setting for it.
In a container network the name of a stopped peer is unknown and its next address is another one,
so that after an outage of one minute a caller was deaf for 43 s more. A new channel asks at once:
whoever makes a call on a channel that has failed, and is older than a second, gets a new one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc
import grpc.aio

# Not faster than the reconnect backoff of a channel itself.
RENEW_AFTER_SECONDS = 1.0
# Calls of the replaced channel that still run have this long, which covers their retries.
CLOSING_GRACE_SECONDS = 5.0

_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE
C = TypeVar("C")


class _Call(Generic[C]):
    """One method of a stub, made of whichever channel is in use when it is called."""

    def __init__(self, current: Callable[[], C], kind: str, made_of: Any, named: Any) -> None:
        self._current = current
        self._kind, self._made_of, self._named = kind, made_of, named
        self._made: tuple[C, Any] | None = None

    def _method(self) -> Any:
        channel = self._current()
        made = self._made
        if made is None or made[0] is not channel:
            made = (channel, getattr(channel, self._kind)(*self._made_of, **self._named))
            self._made = made
        return made[1]

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self._method()(*values, **named)


class RenewedChannel(grpc.aio.Channel):
    """An asyncio channel; `open_inner` opens the channels that do the work."""

    def __init__(
        self,
        open_inner: Callable[[], grpc.aio.Channel],
        renew_after_seconds: float = RENEW_AFTER_SECONDS,
    ) -> None:
        self._open = open_inner
        self._renew_after_seconds = renew_after_seconds
        self._inner = open_inner()
        self._opened = time.monotonic()
        self._closing: set[asyncio.Task[None]] = set()

    def _current(self) -> grpc.aio.Channel:
        if (
            time.monotonic() - self._opened >= self._renew_after_seconds
            and self._inner.get_state() is _FAILED
        ):
            task = asyncio.ensure_future(self._inner.close(CLOSING_GRACE_SECONDS))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._inner, self._opened = self._open(), time.monotonic()
        return self._inner

    def unary_unary(self, *made_of: Any, **named: Any) -> Any:
        """As grpc.aio.Channel."""
        return _Call(self._current, "unary_unary", made_of, named)

    def unary_stream(self, *made_of: Any, **named: Any) -> Any:
        """As grpc.aio.Channel."""
        return _Call(self._current, "unary_stream", made_of, named)

    def stream_unary(self, *made_of: Any, **named: Any) -> Any:
        """As grpc.aio.Channel."""
        return _Call(self._current, "stream_unary", made_of, named)

    def stream_stream(self, *made_of: Any, **named: Any) -> Any:
        """As grpc.aio.Channel."""
        return _Call(self._current, "stream_stream", made_of, named)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The state of the channel in use."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As grpc.aio.Channel, of the channel in use."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """As grpc.aio.Channel, of the channel in use."""
        await self._current().channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Close the channel in use and those that were replaced."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._inner.close(grace)

    async def __aenter__(self) -> Self:
        """Return the channel."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()


class _BlockingCall(_Call[grpc.Channel]):
    """A call that tells the channel when the peer was away."""

    def __init__(self, owner: RenewedSyncChannel, kind: str, made_of: Any, named: Any) -> None:
        super().__init__(owner.current, kind, made_of, named)
        self._owner = owner

    def __call__(self, *values: Any, **named: Any) -> Any:
        try:
            return super().__call__(*values, **named)
        except grpc.RpcError as error:
            self._note(error)
            raise

    def future(self, *values: Any, **named: Any) -> Any:
        call = self._method().future(*values, **named)
        call.add_done_callback(self._note)
        return call

    def _note(self, call: Any) -> None:
        # The error of a call is the call itself, which the types do not say.
        if call.code() is grpc.StatusCode.UNAVAILABLE:
            self._owner.failed()


class RenewedSyncChannel(grpc.Channel):
    """The same for threads; here a blocking call that failed is what tells.

    A blocking channel says its state only to a thread that polls it. A replaced channel ends with
    the last of its calls.
    """

    def __init__(
        self,
        open_inner: Callable[[], grpc.Channel],
        renew_after_seconds: float = RENEW_AFTER_SECONDS,
    ) -> None:
        self._open = open_inner
        self._renew_after_seconds = renew_after_seconds
        self._lock = threading.Lock()
        self._inner = open_inner()
        self._opened = time.monotonic()
        self._failed = False

    def failed(self) -> None:
        """Note that a call found nobody."""
        with self._lock:
            self._failed = True

    def current(self) -> grpc.Channel:
        """The channel in use, a new one if the last was of no use."""
        with self._lock:
            if self._failed and time.monotonic() - self._opened >= self._renew_after_seconds:
                self._inner, self._opened = self._open(), time.monotonic()
                self._failed = False
            return self._inner

    def unary_unary(self, *made_of: Any, **named: Any) -> Any:
        """As grpc.Channel."""
        return _BlockingCall(self, "unary_unary", made_of, named)

    def unary_stream(self, *made_of: Any, **named: Any) -> Any:
        """As grpc.Channel."""
        return _BlockingCall(self, "unary_stream", made_of, named)

    def stream_unary(self, *made_of: Any, **named: Any) -> Any:
        """As grpc.Channel."""
        return _BlockingCall(self, "stream_unary", made_of, named)

    def stream_stream(self, *made_of: Any, **named: Any) -> Any:
        """As grpc.Channel."""
        return _BlockingCall(self, "stream_stream", made_of, named)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False
    ) -> None:
        """As grpc.Channel, of the channel in use."""
        self._inner.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """As grpc.Channel, of the channel in use."""
        self._inner.unsubscribe(callback)

    def close(self) -> None:
        """Close the channel in use."""
        self._inner.close()

    def __enter__(self) -> Self:
        """Return the channel."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
