"""A JetStream work queue of run ids: connected whenever the server is there, made when it is not.

Every open run that nobody has is at most one message: its subject is its own, and the stream takes
one message a subject. Acknowledged is what is final, or has a driver who needs no message.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from services.kit.errors import Unavailable
from services.kit.ids import RunId
from services.kit.log import facts

log = logging.getLogger(__name__)

CONSUMER = "drivers"
CALL_SECONDS = 2.0
# Who starts a run does not wait longer for a server that hangs: the run is found without it.
PUBLISH_SECONDS = 0.5
FETCH_SECONDS = 1.0
RECONNECT_SECONDS = 0.5
# Answers of the server that mean: this run is in the stream already.
ONE_PER_SUBJECT = 10077
# A repeated publish of the same call. Later ones must not be taken for it: the run may have come
# back since.
DUPLICATE_SECONDS = 0.5

AWAY = (
    nats.errors.Error,
    nats.js.errors.Error,
    OSError,
    TimeoutError,
)


class RunStream:
    """The stream `name` on the server at `url`.

    Args:
        url: nats://host:port.
        name: of the stream, and the first token of its subjects.
        ack_seconds: after which time without a sign of life a message is given to somebody else.
    """

    def __init__(self, url: str, name: str, ack_seconds: float) -> None:
        self._url = url
        self._name = name
        self._ack_seconds = ack_seconds
        self._client: Client | None = None
        self._pull: JetStreamContext.PullSubscription | None = None
        self._lock = asyncio.Lock()

    @property
    def is_connected(self) -> bool:
        """Whether the server answered last, and the stream was there."""
        connected = self._client is not None and self._client.is_connected
        return connected and self._pull is not None

    async def publish(self, run_id: RunId) -> bool:
        """Put a run in, unless it is there; False when the server took it for a repeated call.

        Waits for no connection. Raises Unavailable QUEUE_UNAVAILABLE.
        """
        if self._client is None or not self.is_connected:
            raise Unavailable("QUEUE_UNAVAILABLE", "not connected to the queue")
        try:
            taken = await self._client.jetstream().publish(
                f"{self._name}.{run_id}",
                str(run_id).encode(),
                timeout=PUBLISH_SECONDS,
                stream=self._name,
                headers={"Nats-Msg-Id": str(run_id)},
            )
            return not taken.duplicate
        except nats.js.errors.APIError as error:
            if error.err_code == ONE_PER_SUBJECT:
                return True
            await self._forget(error)
            raise _away(error) from error
        except TimeoutError as error:
            # Slow is not gone.
            raise _away(error) from error
        except AWAY as error:
            await self._forget(error)
            raise _away(error) from error

    async def fetch(self) -> Msg | None:
        """Wait a second for a message. Raises Unavailable QUEUE_UNAVAILABLE."""
        try:
            pull = await self._ready()
            return (await pull.fetch(1, timeout=FETCH_SECONDS))[0]
        except nats.errors.TimeoutError:
            return None
        except AWAY as error:
            await self._forget(error)
            raise _away(error) from error

    async def aclose(self) -> None:
        """Close the connection."""
        client, self._client, self._pull = self._client, None, None
        if client is not None:
            with suppress(*AWAY):
                await client.close()

    async def connect(self) -> None:
        """Be connected, with a stream. Raises Unavailable QUEUE_UNAVAILABLE."""
        try:
            await self._ready()
        except AWAY as error:
            await self._forget(error)
            raise _away(error) from error

    async def _ready(self) -> JetStreamContext.PullSubscription:
        async with self._lock:
            return await self._made_ready()

    async def _made_ready(self) -> JetStreamContext.PullSubscription:
        if self._client is None or self._client.is_closed:
            self._pull = None
            self._client = await self._connect()
        if not self._client.is_connected:
            # It comes back by itself.
            raise nats.errors.ConnectionReconnectingError
        if self._pull is None:
            self._pull = await self._prepare(self._client.jetstream(timeout=CALL_SECONDS))
        return self._pull

    async def _connect(self) -> Client:
        async with asyncio.timeout(CALL_SECONDS):
            client = await nats.connect(
                self._url,
                connect_timeout=int(CALL_SECONDS),
                reconnect_time_wait=RECONNECT_SECONDS,
                max_reconnect_attempts=-1,
                error_cb=_note,
                # A server that hangs is given up after two of them.
                ping_interval=5,
            )
        log.info("connected to the queue")
        return client

    async def _prepare(self, context: JetStreamContext) -> JetStreamContext.PullSubscription:
        config = StreamConfig(
            name=self._name,
            subjects=[f"{self._name}.*"],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            duplicate_window=DUPLICATE_SECONDS,
        )
        try:
            await context.add_stream(config)
        except nats.js.errors.BadRequestError:
            # It is there from an earlier version, with other limits.
            await context.update_stream(config)
        return await context.pull_subscribe(
            "",
            durable=CONSUMER,
            stream=self._name,
            config=ConsumerConfig(
                durable_name=CONSUMER,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._ack_seconds,
                max_deliver=-1,
                max_ack_pending=-1,
            ),
        )

    async def _forget(self, error: BaseException) -> None:
        # The stream, or its consumer, may be gone with the server's disk: make them anew.
        pull, self._pull = self._pull, None
        if pull is not None:
            log.warning("queue is away", extra=facts(why=type(error).__name__))
            with suppress(*AWAY):
                await pull.unsubscribe()


async def _note(error: Exception) -> None:
    log.debug("nats", extra=facts(why=type(error).__name__))


def _away(error: BaseException) -> Unavailable:
    return Unavailable("QUEUE_UNAVAILABLE", f"the queue did not answer: {type(error).__name__}")
