"""The inside of a limited process (see `limited_process`): limits first, then call after call.

    python -m services.kit.limited_task MODULE:FACTORY MEMORY_BYTES CPU_SECONDS WALL_SECONDS FD

The factory is called once and returns the task: bytes and open files in, bytes out. What it raises
as an ArtlabError goes back as one; of anything else only type and place do, because a message may
quote the bytes. Both sides speak through one socket: eight bytes of length, then a kind (answers
only), then the body. Files come with the length of a request.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Sequence

from services.kit.errors import ArtlabError
from services.kit.seclusion import (
    end_with_parent,
    gain_nothing,
    keep_hands_off,
    leave_network,
    refuse_readers,
)

Task = Callable[[bytes, Sequence[int]], bytes]

LENGTH = struct.Struct(">Q")
ANSWER = struct.Struct(">Qc")
READY, DONE, REFUSED, BROKEN, NO_MEMORY = b"R", b"D", b"A", b"X", b"M"
MAX_FILES = 4
# A call that the starter forgot to end ends itself.
ALARM_MARGIN_SECONDS = 2.0
_MAX_OPEN_FILES = 64


def main(arguments: list[str]) -> None:
    """Serve calls until the other side hangs up."""
    name, memory, cpu, wall, descriptor = arguments
    failures = _give_up_rights(int(memory))
    with socket.socket(fileno=int(descriptor)) as peer:
        try:
            task = _load(name)
        except MemoryError:
            _send(peer, NO_MEMORY, b"")
            return
        except Exception as error:
            _send(peer, BROKEN, _place(error))
            return
        _send(peer, READY, failures.encode())
        while True:
            head, files, _, _ = socket.recv_fds(peer, LENGTH.size, MAX_FILES)
            if not head:
                return
            request = _exactly(peer, LENGTH.unpack(head)[0])
            _allow(int(cpu), float(wall) + ALARM_MARGIN_SECONDS)
            kind, answer = _answer(task, request, files)
            signal.setitimer(signal.ITIMER_REAL, 0)
            for file in files:
                os.close(file)
            _send(peer, kind, answer)


def _give_up_rights(memory_bytes: int) -> str:
    """Be small and secluded; tells in what it could not be."""
    # Before anything is loaded that has threads, and before what a change of rights may undo.
    failures = {"network": leave_network()}
    end_with_parent(signal.SIGKILL)
    gain_nothing()
    failures["landlock"] = keep_hands_off()
    # The next child of the same service sees other people's files.
    refuse_readers()
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
    ):
        resource.setrlimit(what, (most, most))
    # Ctrl-C reaches the whole terminal; when this process ends is its starter's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return ", ".join(f"{what}: {why}" for what, why in failures.items() if why)


def _load(name: str) -> Task:
    module, _, attribute = name.partition(":")
    factory: Callable[[], Task] = getattr(importlib.import_module(module), attribute)
    return factory()


def _allow(cpu_seconds: int, wall_seconds: float) -> None:
    """Let the next call have this much; the kernel ends the process when it takes more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)


def _answer(task: Task, request: bytes, files: Sequence[int]) -> tuple[bytes, bytes]:
    try:
        return DONE, task(request, files)
    except ArtlabError as error:
        told = (error.code, error.reason, error.message, error.field)
        return REFUSED, json.dumps(told).encode()
    except MemoryError:
        return NO_MEMORY, b""
    except Exception as error:
        return BROKEN, _place(error)


def _place(error: Exception) -> bytes:
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} at {where}".encode()


def _exactly(peer: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view, read = memoryview(data), 0
    while read < size:
        count = peer.recv_into(view[read:])
        if not count:
            raise SystemExit
        read += count
    return bytes(data)


def _send(peer: socket.socket, kind: bytes, body: bytes) -> None:
    peer.sendall(ANSWER.pack(len(body), kind))
    peer.sendall(body)


if __name__ == "__main__":
    main(sys.argv[1:])
