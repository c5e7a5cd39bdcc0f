"""Tasks for limited processes: one that behaves and does what it is told, and some that do not."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence

from services.kit.errors import InvalidArgument
from services.kit.limited_task import Task


def obedient() -> Task:
    """Do what the request says; ``pid`` and the like tell about the process."""
    return _obey


def without_model() -> Task:
    """A task that cannot be loaded."""
    raise FileNotFoundError("the secret name of a file")


def slow() -> Task:
    """Take longer than anybody waits."""
    return _sleep


def dying() -> Task:
    """Be killed by whatever is asked."""
    return _die


def _sleep(request: bytes, files: Sequence[int]) -> bytes:
    time.sleep(60)
    return b""


def _die(request: bytes, files: Sequence[int]) -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def _obey(request: bytes, files: Sequence[int]) -> bytes:
    word, _, rest = request.decode().partition(" ")
    if word == "pid":
        return str(os.getpid()).encode()
    if word == "environment":
        return "\n".join(sorted(os.environ)).encode()
    if word == "peek":
        return peek(rest)
    if word == "connect":
        return _connect(int(rest))
    if word == "kill":
        return _allowed(lambda: os.kill(int(rest), 0))
    if word == "make":
        return _allowed(lambda: os.mkdir(rest))
    if word == "remove":
        return _allowed(lambda: os.rmdir(rest))
    if word == "run":
        return _allowed(lambda: os.execv(rest, [rest]))
    if word == "read":
        return os.read(files[0], 100)
    if word == "write":
        return str(os.write(files[0], b"mine")).encode()
    if word == "size":
        return bytes(int(rest))
    if word == "fill":
        return str(len(bytearray(int(rest)))).encode()
    if word == "refuse":
        raise InvalidArgument("MEDIA_MALFORMED", "not a picture", field="data")
    if word == "crash":
        raise ValueError(rest)
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "hang":
        os.close(int(sys.argv[-1]))
        word = "sleep"
    while word == "spin":
        pass
    if word == "sleep":
        time.sleep(60)
    return request


def peek(name: str) -> bytes:
    """Whether a file of the starter in /proc can be opened for reading."""
    try:
        # Who may is looked at when it is opened; at the address 0 of a memory is nothing to read.
        open(f"/proc/{os.getppid()}/{name}", "rb").close()
    except PermissionError:
        return b"refused"
    return b"read"


def _connect(port: int) -> bytes:
    """Whether there is somebody at this port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return b"nobody"
    return b"connected"


def _allowed(deed: Callable[[], object]) -> bytes:
    try:
        deed()
    except OSError:
        return b"refused"
    return b"done"
