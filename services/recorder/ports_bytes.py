"""Bytes on their way into a store and out of it; see `services.recorder.ports`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import BinaryIO, Protocol

from services.kit.ids import RunId
from services.recorder.domain.content import Content


class UploadBytes(Protocol):
    """The bytes of one upload, open for writing at their end."""

    @property
    def content(self) -> Content:
        """What is known of all bytes so far."""
        ...

    @property
    def synced_size(self) -> int:
        """How many bytes somebody may have been told to be durable."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether a sync has failed."""
        ...

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write at the end, one after another; those before one that fails stay."""
        ...

    def sync(self) -> int:
        """Make everything so far durable and return its size.

        When it fails the upload is dead: what the disk holds of it is unknown.
        """
        ...

    def close(self) -> None:
        """Let go of the bytes; they stay."""
        ...


class EntityBytes(Protocol):
    """The bytes of one entity, open for reading in order."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        ...

    def close(self) -> None:
        """Let go of them."""
        ...


class StagedImport(Protocol):
    """One archive on its way in, and the runs taken out of it; nobody sees them before `admit`."""

    def append(self, data: bytes) -> None:
        """Write at the end of the archive."""
        ...

    def open_archive(self) -> BinaryIO:
        """Open the archive for reading, with seeking; the caller closes it."""
        ...

    def write(self, run_id: RunId, name: str, chunks: Iterable[bytes]) -> None:
        """Write one file of a run."""
        ...

    def defects(self, run_id: RunId) -> Sequence[str]:
        """What is wrong with a staged run, as `artlab verify` tells it."""
        ...

    def admit(self, run_id: RunId) -> None:
        """Put a staged run among the others, durably and in one step."""
        ...

    def discard(self) -> None:
        """Remove everything that is still staged. Called once, at the end."""
        ...
