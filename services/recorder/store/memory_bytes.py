"""Bytes of uploads and entities in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.recorder.domain.content import Content
from services.recorder.domain.vocabulary import EntityType


class MemoryUpload:
    """The bytes of one upload."""

    is_lost = False
    synced_size = 0

    def __init__(
        self, entity_type: EntityType, data: bytearray, check_room: Callable[[int], None]
    ) -> None:
        self._data = data
        self._check_room = check_room
        self.content = Content(entity_type)
        if data:
            self.content.add(bytes(data))

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write at the end."""
        for data in chunks:
            self._check_room(len(data))
            self._data += data
            self.content.add(data)

    def sync(self) -> int:
        """Return the number of bytes."""
        return self.content.size_bytes

    def close(self) -> None:
        """Let go of the bytes."""


class MemoryBytes:
    """The bytes of one entity, in order."""

    def __init__(self, data: bytes) -> None:
        self._data, self._offset = data, 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        part = self._data[self._offset : self._offset + size]
        self._offset += len(part)
        return part

    def close(self) -> None:
        """Let go of them."""
