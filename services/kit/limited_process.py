"""Work on bytes of strangers in processes of their own, which cannot take more than they are given.

What decodes a file somebody sent may be made to crash, to loop or to fill the memory. It is done
in a child that has no secrets in its environment, no file to write to, limited memory, processor
time and time, and that is killed when it overstays or when nobody waits for it any more. As far as
the system lets it, it has no network either, changes no file and signals nobody (`seclusion`);
what its starter knows it cannot read, as every service refuses readers. A child that behaved stays
and takes the next call, because starting one takes a fifth of a second and more. `limited_task` is
the inside.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

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


class LimitedProcesses:
    """Children that run one task, started when needed. Close them with `aclose`.

    Args:
        task: ``package.module:factory``; the factory is called once in each child and returns a
            function from a request and open files to an answer.
        limits: of each child.
    """

    def __init__(self, task: str, limits: Limits) -> None:
        self._task = task
        self._limits = limits
        self._free = asyncio.Semaphore(limits.at_once)
        self._idle: list[_Child] = []
        self._line = 0
        self._has_told = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all children that are not at work; a call under way ends its own."""
        while self._idle:
            await self._idle.pop().end()

    async def load(self) -> None:
        """Have one child ready. Raises LimitedProcessError when its task cannot be loaded."""
        async with self._turn() as child:
            self._idle.append(child)

    async def call(self, request: bytes, files: Sequence[int] = ()) -> bytes:
        """Return the task's answer; the files are handed over for reading and stay open here.

        Raises LimitedProcessError, and what the task itself raised as an ArtlabError.
        """
        async with self._turn() as child:
            answer = await child.call(request, files)
            # Only a child that answered is asked again: what happened to another one is unknown.
            if child.calls < self._limits.calls:
                self._idle.append(child)
        if isinstance(answer, ArtlabError):
            raise answer
        return answer

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[_Child]:
        if self._free.locked() and self._line >= self._limits.waiting:
            raise LimitedProcessError(Why.BUSY)
        self._line += 1
        try:
            await self._free.acquire()
        finally:
            self._line -= 1
        child: _Child | None = None
        try:
            child = await self._waiting_child()
            if child is None:
                child = await _start(self._task, self._limits)
                self._tell_once(child.open_to)
            yield child
        finally:
            try:
                if child is not None and child not in self._idle:
                    await child.end()
            finally:
                self._free.release()

    def _tell_once(self, open_to: str) -> None:
        if open_to and not self._has_told:
            self._has_told = True
            log.info("limited process not secluded", extra=facts(task=self._task, why=open_to))

    async def _waiting_child(self) -> _Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.listens:
                return child
            await child.end()
        return None


class _Child:
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
        kind, body = await self._in_time(START_SECONDS, self._receive(_MAX_COMPLAINT_BYTES))
        if kind != READY:
            raise _trouble(kind, body)
        self.open_to = body[:100].decode("utf-8", "replace")

    async def call(self, request: bytes, files: Sequence[int]) -> bytes | ArtlabError:
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


async def _start(task: str, limits: Limits) -> _Child:
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
    child = _Child(process, ours, limits)
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
