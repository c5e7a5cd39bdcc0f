"""One limited process: started, asked, bounded in what it takes, ended.

`limited_process` is about several, and says what they are for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.kit.errors import BY_CODE, ArtlabError, Internal
from services.kit.limited_task import (
    ANSWER,
    BROKEN,
    DONE,
    LENGTH,
    MAX_FILES,
    NO_MEMORY,
    READY,
    REFUSED,
)
from services.kit.log import facts

log = logging.getLogger(__name__)

START_SECONDS = 30.0
# Between its last word and its end, as the kernel writes nothing down of it.
END_SECONDS = 2.0
_MAX_COMPLAINT_BYTES = 4096
_Answer = tuple[bytes, bytes]
_INHERITED = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "LC_ALL", "TZ")


class Why(StrEnum):
    """Why a call of a limited process came to nothing."""

    BUSY = "busy"
    DEADLINE = "deadline"
    MEMORY = "memory"
    KILLED = "killed"
    BROKEN = "broken"


class LimitedProcessError(Exception):
    """There is no answer. Whoever called says what that means in the words of its service."""

    def __init__(self, why: Why, place: str = "") -> None:
        super().__init__(why.value, place)
        self.why = why
        self.place = place


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may take.

    Attributes:
        memory_bytes: of its address space, Python and libraries included (some 200 MB).
        cpu_seconds: of one call.
        wall_seconds: of one call.
        answer_bytes: how large an answer may be.
        at_once: how many processes there are at most.
        waiting: how many more calls may wait for one.
        calls: after so many a process is replaced, so that what leaks does not add up.
    """

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float
    answer_bytes: int
    at_once: int = 1
    waiting: int = 32
    calls: int = 500


class LimitedChild:
    """One process at its task, and the socket to it. Made by `start_child`."""

    def __init__(
        self, process: asyncio.subprocess.Process, peer: socket.socket, limits: Limits
    ) -> None:
        self._process = process
        self._peer = peer
        self._limits = limits
        self.calls = 0
        # In what it could not be secluded, for operators; empty when it is.
        self.open_to = ""

    @property
    def lives(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self._process.returncode is None

    @property
    def listens(self) -> bool:
        """Whether it waits for a call. Its socket tells its end before the event loop hears it."""
        try:
            self._peer.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        # The end of its words, or one that nobody asked for.
        return False

    async def ready(self) -> None:
        """Wait until it has loaded its task. Raises LimitedProcessError when it cannot."""
        kind, body = await self._in_time(START_SECONDS, self._receive(_MAX_COMPLAINT_BYTES))
        if kind != READY:
            raise _trouble(kind, body)
        self.open_to = body[:100].decode("utf-8", "replace")

    async def call(self, request: bytes, files: Sequence[int]) -> bytes | ArtlabError:
        """Return its answer, or what the task refused with. Raises LimitedProcessError."""
        self.calls += 1
        kind, body = await self._in_time(self._limits.wall_seconds, self._ask(request, files))
        if kind == DONE:
            return body
        if kind == REFUSED:
            return _refusal(body)
        raise _trouble(kind, body)

    async def end(self) -> None:
        """Kill it and wait until it is gone; also when the caller is cancelled meanwhile."""
        self._peer.close()
        if self.lives:
            self._process.kill()
        # The kernel ends a killed process at once; nobody has to wait long for it.
        await asyncio.shield(self._process.wait())

    async def _in_time(self, seconds: float, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError as error:
            raise LimitedProcessError(Why.DEADLINE) from error
        except (EOFError, OSError) as error:
            raise LimitedProcessError(await self._end_of()) from error

    async def _end_of(self) -> Why:
        try:
            async with asyncio.timeout(END_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            # It hung up, or could not be spoken to, and lives.
            return Why.BROKEN
        overdue = (-signal.SIGXCPU, -signal.SIGALRM)
        return Why.DEADLINE if code in overdue else Why.KILLED

    async def _ask(self, request: bytes, files: Sequence[int]) -> _Answer:
        loop = asyncio.get_running_loop()
        # The child waits and the socket is empty: so few bytes are taken at once.
        socket.send_fds(self._peer, [LENGTH.pack(len(request))], list(files[:MAX_FILES]))
        await loop.sock_sendall(self._peer, request)
        return await self._receive(self._limits.answer_bytes)

    async def _receive(self, most: int) -> _Answer:
        head = await self._exactly(ANSWER.size)
        size, kind = ANSWER.unpack(head)
        if size > most:
            return BROKEN, b"answer too large"
        return kind, await self._exactly(size)

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray(size)
        view, read = memoryview(data), 0
        while read < size:
            count = await loop.sock_recv_into(self._peer, view[read:])
            if not count:
                raise EOFError
            read += count
        return bytes(data)


async def start_child(task: str, limits: Limits) -> LimitedChild:
    """Start one and wait until it is ready; end it with `end`. Raises LimitedProcessError."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                # -B: it could not write what it compiles anyway.
                "-P",
                "-B",
                "-m",
                "services.kit.limited_task",
                task,
                str(limits.memory_bytes),
                str(limits.cpu_seconds),
                str(limits.wall_seconds),
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                # Libraries print names and bytes of files there.
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(os.environ),
                pass_fds=(theirs.fileno(),),
            )
        except OSError as error:
            ours.close()
            raise LimitedProcessError(Why.BROKEN, "cannot be started") from error
        except BaseException:
            ours.close()
            raise
    child = LimitedChild(process, ours, limits)
    try:
        await child.ready()
    except BaseException:
        await child.end()
        raise
    return child


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in _INHERITED if name in environ}


def _refusal(body: bytes) -> ArtlabError:
    code, reason, message, field = json.loads(body)
    kind = BY_CODE.get(code, Internal)
    return kind(reason, message, field=field)


def _trouble(kind: bytes, body: bytes) -> LimitedProcessError:
    if kind == NO_MEMORY:
        return LimitedProcessError(Why.MEMORY)
    place = body[:200].decode("utf-8", "replace")
    log.warning("limited process failed", extra=facts(place=place))
    return LimitedProcessError(Why.BROKEN, place)
