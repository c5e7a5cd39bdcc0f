"""A run as server-sent events (WHATWG HTML, 9.2): encoding and the stream of one reader."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson

from services.gateway.domain.run import Event
from services.gateway.fanout import Fanout
from services.kit.errors import ArtlabError
from services.kit.ids import RunId

# Reverse proxies give up on silence after 15 s and more.
HEARTBEAT_SECONDS = 10.0
# What a browser waits before it comes back.
_RETRY = b"retry: 500\n\n"
_HEARTBEAT = b": still here\n\n"


def encode(event: Event) -> bytes:
    """Return one event; facts carry their seq as id, hints carry none."""
    data = orjson.dumps(event.data)
    kind = event.kind.encode()
    if event.seq is None:
        return b"event: %b\ndata: %b\n\n" % (kind, data)
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, kind, data)


async def event_stream(
    fanout: Fanout, run_id: RunId, after_seq: int, heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> AsyncIterator[bytes]:
    """Yield the events of a run after a fact; ends after the final one.

    A comment comes at once and whenever nothing else did for 10 s. When the watch cannot be kept
    up, or this server stops, the stream says so by a `problem` event and ends: the reader comes
    back with the last id it saw.
    """
    try:
        async with fanout.listen(run_id) as feed:
            yield _RETRY
            with feed.subscription(after_seq) as subscription:
                while (news := await subscription.read(heartbeat_seconds)) is not None:
                    yield news or _HEARTBEAT
    except ArtlabError as error:
        problem = {"reason": error.reason, "retryable": error.code == "UNAVAILABLE"}
        yield encode(Event("problem", problem))
