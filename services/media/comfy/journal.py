"""Which job was handed in to which ComfyUI, written down before it is sent there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HandIn:
    """One job at one instance.

    `deadline_at`: when its time is over, in seconds since 1970. `stopped`: ComfyUI said that it
    stopped it.
    """

    upload: str
    prompt_id: str
    url: str
    attempt: int
    deadline_at: float
    stopped: bool = False


class Journal(Protocol):
    """The newest hand-in of each upload. Both raise Unavailable MEDIA_STATE_UNAVAILABLE."""

    async def put(self, hand_in: HandIn) -> None:
        """Remember it, in place of an earlier one of its upload; a kill does not undo that."""
        ...

    async def get(self, upload: str) -> HandIn | None:
        """Return the newest one; None when there is none, or it was long ago."""
        ...


class MemoryJournal:
    """The twin in memory: what it knows ends with the process."""

    def __init__(self) -> None:
        self._hand_ins: dict[str, HandIn] = {}

    async def put(self, hand_in: HandIn) -> None:
        """See `Journal.put`."""
        self._hand_ins[hand_in.upload] = hand_in

    async def get(self, upload: str) -> HandIn | None:
        """See `Journal.get`."""
        return self._hand_ins.get(upload)
