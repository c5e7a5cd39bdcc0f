"""What a recorder was asked and what it said, noted to be held against it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from services.kit.ids import RunId, UploadName
from services.recorder.commits import Declared
from services.recorder.domain.entity import Entity
from services.recorder.domain.run import Run
from services.recorder.parse import parse_draft
from services.recorder.writing import Chunk
from tests.integration.recorder.harness import digest_of, entity

PIECE = 7


@dataclass
class KnownUpload:
    """What was sent and what was said of it."""

    data: bytes
    said: Entity | None = None
    may_be_there: bool = False
    may_be_erased: bool = False
    # What the record was heard to say, and what was answered.
    is_erased: bool = False
    is_gone: bool = False
    committed: int = 0


@dataclass
class KnownRun:
    """What was said of a run. `may_…`: somebody asked for it and got no answer."""

    run_id: RunId
    is_created: bool = False
    may_be_created: bool = False
    is_deleted: bool = False
    may_be_deleted: bool = False
    # What was said; None when nobody knows.
    is_favourite: bool | None = False
    end: Run | None = None
    may_be_final: bool = False
    # Who was told to drive it under which epoch, and the newest that was told.
    drivers: dict[int, str] = field(default_factory=dict)
    epoch: int = 0
    may_be_claimed: bool = False
    uploads: dict[str, KnownUpload] = field(default_factory=dict)

    def drives(self, owner: str, epoch: int) -> None:
        """Note who drives it now; 0 says that somebody else does."""
        if epoch:
            assert epoch >= self.epoch, "an epoch only grows"
            assert self.drivers.setdefault(epoch, owner) == owner, "an epoch is given once"
            self.epoch = epoch


async def chunks(name: UploadName, data: bytes, start: int, end: int) -> AsyncIterator[Chunk]:
    """The messages that send data[start:end], and finish when that is all."""
    draft, said = parse_draft(entity("interception")), None
    if end == len(data):
        said = Declared(digest_of(data).sha256, len(data))
    offsets = list(range(start, end, PIECE)) or [start]
    for at in offsets:
        is_last = said is not None and at == offsets[-1]
        part = data[at : min(end, at + PIECE)]
        yield Chunk(name, at, is_last, said if is_last else None, draft, part)
