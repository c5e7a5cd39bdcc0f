"""A media backend that does what a test tells it, and bytes that can be read at will."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.kit.errors import ArtlabError
from services.media.domain.output_config import OutputConfig
from services.media.ports import Product, RenderJob, RenderProgress, Report
from tests.support.pictures import picture

CHUNK_BYTES = 256 * 1024


def picture_bytes(size: int, fill: int = 7) -> bytes:
    """A PNG of this size, filled with this byte."""
    return picture(size, fill)


@dataclass
class ScriptedBackend:
    """Renders when `go` is set; everything may be changed while it runs."""

    name: str = "builtin"
    data: bytes = picture_bytes(1000)
    reason: str | None = None
    remote: bool = False
    failure: Exception | None = None
    go: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    # Stopping takes until this is set; set from the start.
    may_stop: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: list[RenderJob] = field(default_factory=list)
    report: Report | None = None
    # Called in the reading thread before each chunk with the offset and the reading's number.
    before_chunk: Callable[[int, int], None] | None = None
    # The further files of the output.
    others: list[bytes] = field(default_factory=list)
    readings: int = 0
    reading: threading.Event = field(default_factory=threading.Event)
    sized: bool = True

    def __post_init__(self) -> None:
        self.may_stop.set()

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        return self.reason

    async def render(self, job: RenderJob, report: Report) -> Product:
        self.jobs.append(job)
        self.report = report
        report(RenderProgress("executing", 0.1, instance="scripted"))
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            await self.may_stop.wait()
            raise
        if self.failure is not None:
            raise self.failure
        report(RenderProgress("executing", 1.0, instance="scripted"))
        return Product(
            read=self.read,
            backend=self.name,
            model="model-of-the-test",
            size_bytes=len(self.data) if self.sized else None,
            metadata={"note": "as reported"},
            others=tuple(self._other(data) for data in self.others),
        )

    def _other(self, data: bytes) -> Product:
        @contextmanager
        def read() -> Iterator[Iterator[bytes]]:
            self.readings += 1
            yield self._chunks(self.readings, data)

        return Product(read=read, backend=self.name, model="", size_bytes=len(data))

    @contextmanager
    def read(self) -> Iterator[Iterator[bytes]]:
        self.readings += 1
        self.reading.set()
        yield self._chunks(self.readings, self.data)

    def _chunks(self, reading: int, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), CHUNK_BYTES):
            if self.before_chunk is not None:
                self.before_chunk(at, reading)
            yield data[at : at + CHUNK_BYTES]


class ReadFailure:
    """Raises an error at one offset of one reading."""

    def __init__(self, offset: int, reading: int, error: ArtlabError | OSError) -> None:
        self._at = (offset, reading)
        self._error = error

    def __call__(self, offset: int, reading: int) -> None:
        if (offset, reading) == self._at:
            raise self._error
