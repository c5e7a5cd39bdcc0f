"""One upstream watch per run, however many people look on.

A feed keeps the facts of its run, encoded once; a subscription is a place in that list and a few
hints. So a slow reader costs nothing but its own hints, and a late one misses no fact.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Protocol, Self

from services.gateway.domain.run import PREVIEW, Event
from services.kit.clock import Clock
from services.kit.errors import (
    ArtlabError,
    DeadlineExceeded,
    Internal,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import RunId
from services.kit.log import facts

log = logging.getLogger(__name__)

# Hints a reader may be behind before the oldest are dropped.
MAX_HINTS = 256
# How long a recorder may be away before watchers are told.
RESUME_SECONDS = 60.0
CALM_SECONDS = 10.0
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 1.0
# Far above any run; a recorder that repeats itself must not fill our memory.
MAX_FACTS = 10_000

Encode = Callable[[Event], bytes]


class Watcher(Protocol):
    """Where events come from."""

    def watch_run(self, run_id: RunId, after_seq: int) -> AsyncGenerator[Event, None]:
        """Yield events after a fact until the run is final; raises ArtlabError."""
        ...


class Feed:
    """What one run has said so far, and who listens."""

    def __init__(self, run_id: RunId, encode: Encode | None) -> None:
        """Of a run; without a way to encode them, facts may have gaps and are not kept."""
        self.run_id = run_id
        self.facts: list[bytes] = []
        self.last_seq = 0
        self.final_state: str | None = None
        self.failure: ArtlabError | None = None
        self.ended = asyncio.Event()
        # One of them is set: whether the run waits for a person, as far as it was told.
        self.asked, self.answered = asyncio.Event(), asyncio.Event()
        self.answered.set()
        self._open_questions: set[str] = set()
        self._encode = encode
        self._subscriptions: set[Subscription] = set()

    @contextmanager
    def subscription(self, after_seq: int) -> Iterator[Subscription]:
        """Read on after a fact."""
        subscription = Subscription(self, after_seq)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def publish(self, event: Event) -> None:
        """Take one event from upstream. Raises Internal when the facts have a gap."""
        if event.seq is None:
            if self._encode is None:
                return
            hint = self._encode(event)
            for subscription in self._subscriptions:
                subscription.hint(len(self.facts), hint, is_preview=event.kind == PREVIEW)
            return
        if event.seq <= self.last_seq:
            return  # repeated after a resume
        if self._encode is not None:
            if event.seq != self.last_seq + 1 or event.seq > MAX_FACTS:
                raise Internal("EVENT_GAP", "the recorder left out a fact")
            self.facts.append(self._encode(event))
        self.last_seq = event.seq
        self._note_question(event)
        if event.final:
            self.final_state = str(event.data.get("state"))
            self.ended.set()
        for subscription in self._subscriptions:
            subscription.wake()

    def _note_question(self, event: Event) -> None:
        kind, metadata = event.data.get("type"), event.data.get("metadata")
        if kind == "question":
            self._open_questions.add(str(event.data.get("sequence")))
            self.asked.set()
            self.answered.clear()
        elif kind == "decision" and isinstance(metadata, dict):
            self._open_questions.discard(str(metadata.get("question")))
            if not self._open_questions:
                self.asked.clear()
                self.answered.set()

    def end(self, failure: ArtlabError | None) -> None:
        """Nothing more will come."""
        self.failure = failure
        self.ended.set()
        for subscription in self._subscriptions:
            subscription.wake()


class Subscription:
    """One reader's place in a feed."""

    def __init__(self, feed: Feed, after_seq: int) -> None:
        self._feed = feed
        self._next = after_seq
        # Each with the number of facts before it, so that order is kept.
        self._hints: deque[tuple[int, bytes]] = deque(maxlen=MAX_HINTS)
        self._preview: tuple[int, bytes] | None = None
        self._news = asyncio.Event()

    def hint(self, facts_before: int, encoded: bytes, *, is_preview: bool = False) -> None:
        """Take a hint; the oldest goes when there are too many, and a preview for a newer one."""
        hint = facts_before, encoded
        if is_preview:
            if self._preview is not None and self._preview in self._hints:
                self._hints.remove(self._preview)
            self._preview = hint
        self._hints.append(hint)
        self._news.set()

    def wake(self) -> None:
        """Look at the feed again."""
        self._news.set()

    async def read(self, timeout_seconds: float) -> bytes | None:
        """Return what is new, joined; b"" when the time is over, None at the end.

        Raises the ArtlabError that ended the feed, once all facts before it are read.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while True:
            self._news.clear()
            if news := self.take():
                return news
            if self._feed.ended.is_set():
                if self._feed.failure is not None:
                    raise self._feed.failure
                return None
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                return b""

    def take(self) -> bytes:
        """Return what is there now, facts and hints in their order."""
        parts: list[bytes] = []
        all_facts = self._feed.facts
        while self._hints:
            before, encoded = self._hints[0]
            parts.extend(all_facts[self._next : before])
            self._next = max(self._next, before)
            parts.append(encoded)
            self._hints.popleft()
        parts.extend(all_facts[self._next :])
        self._next = max(self._next, len(all_facts))
        return b"".join(parts)


class Fanout:
    """The feeds that somebody listens to. Use as an async context manager: it owns the watches."""

    def __init__(
        self, watcher: Watcher, encode: Encode | None, clock: Clock, max_readers: int
    ) -> None:
        """See `Feed` for one without a way to encode: it only tells ends and questions."""
        self._watcher = watcher
        self._encode = encode
        self._clock = clock
        self._max_readers = max_readers
        self._readers = 0
        self._feeds: dict[RunId, tuple[Feed, asyncio.Task[None]]] = {}
        self._listeners: dict[RunId, int] = {}
        self._draining = False
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _, task in self._feeds.values():
            task.cancel()
        await self._stack.__aexit__(kind, error, trace)

    @property
    def watches(self) -> int:
        """How many upstream watches are open."""
        return len(self._feeds)

    def check_room(self) -> None:
        """Raise ResourceExhausted TOO_MANY_READERS or Unavailable DRAINING when there is none."""
        if self._draining:
            raise Unavailable("DRAINING", "this server is about to stop")
        if self._readers >= self._max_readers:
            raise ResourceExhausted(
                "TOO_MANY_READERS", "too many event streams are open", retry_after_seconds=5.0
            )

    @asynccontextmanager
    async def listen(self, run_id: RunId) -> AsyncIterator[Feed]:
        """Join the feed of a run; the last one to leave ends the watch.

        Raises what `check_room` raises.
        """
        self.check_room()
        self._readers += 1
        feed = self._join(run_id)
        try:
            yield feed
        finally:
            self._readers -= 1
            self._leave(run_id, feed)

    async def drain(self) -> None:
        """End all feeds: readers come back to another server, or to this one's successor."""
        self._draining = True
        for feed, task in list(self._feeds.values()):
            task.cancel()
            feed.end(Unavailable("DRAINING", "this server is about to stop"))

    def _join(self, run_id: RunId) -> Feed:
        found = self._feeds.get(run_id)
        # One that failed is not joined again: the next reader asks anew.
        if found is None or found[0].failure is not None:
            feed = Feed(run_id, self._encode)
            task = self._group.create_task(self._watch(feed), name=f"watch-{run_id}")
            self._feeds[run_id] = (feed, task)
            self._listeners[run_id] = 0
            found = (feed, task)
        self._listeners[run_id] += 1
        return found[0]

    def _leave(self, run_id: RunId, feed: Feed) -> None:
        found = self._feeds.get(run_id)
        if found is None or found[0] is not feed:
            return
        self._listeners[run_id] -= 1
        if self._listeners[run_id] == 0:
            found[1].cancel()
            del self._feeds[run_id], self._listeners[run_id]

    async def _watch(self, feed: Feed) -> None:
        failure: ArtlabError | None = Unavailable("WATCH_ENDED", "the watch was ended")
        try:
            await self._follow(feed)
            failure = None
        except ArtlabError as error:
            failure = error
            log.warning("watch failed", extra=facts(run=str(feed.run_id), reason=error.reason))
        except Exception as error:
            failure = Internal("INTERNAL", "internal error")
            log.error("watch broke", exc_info=error, extra=facts(run=str(feed.run_id)))
        finally:
            if not feed.ended.is_set():
                feed.end(failure)

    async def _follow(self, feed: Feed) -> None:
        backoff, away_since = FIRST_BACKOFF_SECONDS, self._clock.monotonic()
        while True:
            began = self._clock.monotonic()
            # A watch that ends well ends after the final fact; anything else is a cut.
            failure: ArtlabError = Unavailable("WATCH_CUT", "the watch ended before the run")
            try:
                watch = self._watcher.watch_run(feed.run_id, feed.last_seq)
                async with aclosing(watch) as events:
                    async for event in events:
                        backoff, away_since = FIRST_BACKOFF_SECONDS, self._clock.monotonic()
                        feed.publish(event)
            except (Unavailable, DeadlineExceeded) as error:
                failure = error
            if feed.final_state is not None:
                return
            now = self._clock.monotonic()
            if now - began > CALM_SECONDS:
                # A call that lasted was a recorder that was there.
                backoff, away_since = FIRST_BACKOFF_SECONDS, now
            if now - away_since > RESUME_SECONDS:
                raise failure
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)
