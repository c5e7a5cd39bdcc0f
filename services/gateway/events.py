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
_WELCOME = b": welcome\n\n"
_HEARTBEAT = b": still here\n\n"


def encode(event: Event) -> bytes:
    """Return one event; facts carry their seq as id, hints carry none."""
    data = orjson.dumps(event.data)
    kind = event.kind.encode()
    if event.seq is None:
        return b"event: %b\ndata: %b\n\n" % (kind, data)
    # What a browser waits before it comes back. Some readers take a block of its own for an event.
    retry = b"retry: 500\n" if event.kind == "state_changed" else b""
    return b"%bid: %d\nevent: %b\ndata: %b\n\n" % (retry, event.seq, kind, data)


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
            yield _WELCOME
            with feed.subscription(after_seq) as subscription:
                while (news := await subscription.read(heartbeat_seconds)) is not None:
                    yield news or _HEARTBEAT
    except ArtlabError as error:
        problem = {"reason": error.reason, "retryable": error.code == "UNAVAILABLE"}
        yield encode(Event("problem", problem))
