"""One websocket to one ComfyUI, shared by all jobs there.

It only hastens what polling would find out anyway, so it may fail at any moment: a lost socket,
a frame too large, an event stream that stalls for everybody because one client stopped reading
(ComfyUI issue 15240) cost live progress, never a job.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from services.kit.log import facts
from services.media.comfy.address import Address
from services.media.comfy.previews import PreviewMaker, parse_frame
from services.media.comfy.watch import JobWatch
from services.media.domain.pace import Paces
from services.media.domain.workflow import Workflow
from services.media.straight_socket import StraightConnect

log = logging.getLogger(__name__)

# Outputs of 10 MB on the wire are read and dropped; a long film's frames are some 100 KB.
MAX_FRAME_BYTES = 16 * 1024 * 1024
# Frames that wait for us: with the largest ones this is what they take of memory.
MAX_FRAMES_AHEAD = 2
OPEN_TIMEOUT_SECONDS = 3.0
FIRST_FRAME_TIMEOUT_SECONDS = 3.0
PING_SECONDS = 20.0
_FEATURES = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0)


class EventStream:
    """Connects when first needed and again whenever jobs are waiting."""

    def __init__(self, address: Address, previews: PreviewMaker | None) -> None:
        self._address = address
        self._previews = previews
        self._paces = Paces()
        self._wanted = asyncio.Event()
        self._ready = asyncio.Event()
        # The attempt to connect has ended, well or not.
        self._tried = asyncio.Event()
        self._watches: dict[str, JobWatch] = {}
        self._task: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._client_id = _fresh_id()
        self._keep_id = False
        self._suspected = False
        self.frames = 0
        self.odd_frames = 0
        self.connections = 0
        # ComfyUI will say of each preview whose it is, so that jobs may ask for them.
        self.tells_previews = False

    @contextmanager
    def watch(self, prompt_id: str, workflow: Workflow) -> Iterator[JobWatch]:
        """Follow one job; to be entered before it is submitted, so that no event is missed."""
        now = asyncio.get_running_loop().time
        watch = self._watches[prompt_id] = JobWatch(workflow, self._paces, now)
        try:
            yield watch
        finally:
            watch.close()
            if self._watches.get(prompt_id) is watch:
                del self._watches[prompt_id]

    async def client_id(self, timeout_seconds: float) -> str:
        """Return the id of the live connection; without one, an id that gets no events.

        A prompt always needs one: without it the history of a cached run has no outputs.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"events {self._address.url}")
        self._wanted.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._tried.wait()
        except TimeoutError:
            pass
        return self._client_id if self.live else _fresh_id()

    @property
    def live(self) -> bool:
        """Whether a connection is open and greeted."""
        return self._ready.is_set()

    def suspect(self) -> None:
        """Begin anew: ComfyUI should have sent something by now and did not."""
        log.warning("events stalled", extra=facts(instance=self._address.url))
        self._suspected = True
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        """Close the connection and end the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._wanted.wait()
            before = self.connections
            self._tried.clear()
            if not self._keep_id:
                self._client_id = _fresh_id()
            self._keep_id = False
            try:
                await self._connection()
            except (OSError, WebSocketException, TimeoutError) as error:
                log.info(
                    "events ended",
                    extra=facts(instance=self._address.url, why=type(error).__name__),
                )
            finally:
                self._ready.clear()
                self._socket = None
            if self.connections > before:
                failures = 0
                self._tried.clear()
            else:
                failures += 1
                self._tried.set()
            if not self._watches:
                self._wanted.clear()
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])

    async def _connection(self) -> None:
        async with StraightConnect(
            f"{self._address.websocket_url}?clientId={self._client_id}",
            compression=None,
            proxy=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=MAX_FRAMES_AHEAD,
            open_timeout=OPEN_TIMEOUT_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=1.0,
        ) as socket:
            self._socket = socket
            self._suspected = False
            self.tells_previews = False
            if self._previews is not None:
                # Only the first message of a socket may say so.
                await socket.send(_FEATURES)
            async with asyncio.timeout(FIRST_FRAME_TIMEOUT_SECONDS):
                self._see(await socket.recv())
            self.connections += 1
            self._ready.set()
            self._tried.set()
            try:
                while True:
                    self._see(await socket.recv())
            except ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd is not None else 1006
                # Ended by ComfyUI, not by us: it knows of no older socket, so running jobs may
                # have their live progress back under the id they were submitted with.
                ours = error.sent is not None and not error.rcvd_then_sent
                self._keep_id = bool(self._watches) and not ours and not self._suspected
                log.info("events closed", extra=facts(instance=self._address.url, code=code))

    def _see(self, frame: str | bytes) -> None:
        self.frames += 1
        if isinstance(frame, bytes):
            self._see_preview(frame)
            return
        try:
            message: Any = json.loads(frame)
            data = message["data"]
            prompt_id = data.get("prompt_id")
            kind = message["type"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.odd_frames += 1
            return
        if kind == "feature_flags":
            self.tells_previews = data.get("supports_preview_metadata") is True
            # The answer of another part of ComfyUI: it does not show that events come.
            self.frames -= 1
        watch = self._watches.get(prompt_id) if isinstance(prompt_id, str) else None
        if watch is not None and isinstance(kind, str):
            watch.see(kind, data)

    def _see_preview(self, data: bytes) -> None:
        if self._previews is None or (frame := parse_frame(data)) is None:
            return
        if frame.prompt_id is not None:
            watch = self._watches.get(frame.prompt_id)
        else:
            # ComfyUI runs one job at a time; it must be clear that it is ours, and which.
            running = [watch for watch in self._watches.values() if watch.is_running]
            watch = running[0] if len(running) == 1 else None
        # A job whose picture is dropped here gets the next one.
        if watch is not None and self._previews.is_free and watch.wants_preview():
            self._previews.make(frame, watch.show)


def _fresh_id() -> str:
    # A second socket under one id replaces the first, and is unregistered in silence when the
    # first one closes: so an id is used again only when the first is known to be gone.
    return uuid.uuid4().hex
