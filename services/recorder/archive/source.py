"""Recorded runs as an export reads them: blocking, every byte verified, what is wrong is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import orjson

from services.kit.errors import DataLoss, NotFound
from services.kit.ids import RunId
from services.recorder.domain.entity import Entity
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.run import Run
from services.recorder.domain.views import RunView
from services.recorder.ports_bytes import EntityBytes
from services.recorder.store.codec import decode_run

READ_BYTES = 256 * 1024


class RunSource(Protocol):
    """Where runs are read from: a store, or whatever can tell runs as one does."""

    def read_document(self, run_id: RunId) -> bytes:
        """Return metadata.json byte for byte. Raises as `Store.read_document`."""
        ...

    def open_entity(self, run_id: RunId, entity: Entity) -> EntityBytes:
        """Open an entity's bytes. Raises as `Store.open_entity`."""
        ...

    def is_deleted(self, run_id: RunId) -> bool:
        """Whether the run was here and was deleted."""
        ...


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run, its metadata.json byte for byte, and the checksum in it."""

    run: Run
    document: bytes
    checksum: str

    @property
    def line(self) -> bytes:
        """The document on one line."""
        return orjson.dumps(orjson.loads(self.document), option=orjson.OPT_APPEND_NEWLINE)


def load_recorded(store: RunSource, run_id: RunId) -> RecordedRun:
    """Return a run. Raises NotFound RUN_NOT_FOUND; DataLoss METADATA_CORRUPT, naming it."""
    with _named(str(run_id)):
        document = store.read_document(run_id)
        try:
            run = decode_run(document, run_id)
        except DocumentError as error:
            raise DataLoss("METADATA_CORRUPT", f"metadata.json is damaged: {error}") from error
    return RecordedRun(run, document, orjson.loads(document)["checksum"])


def recorded_bytes(store: RunSource, run_id: RunId, entity: Entity) -> Iterator[bytes]:
    """Yield the bytes of an entity in pieces.

    Raises NotFound RUN_NOT_FOUND; DataLoss ENTITY_CORRUPT, naming it, after the last piece when
    they are not those that were recorded.
    """
    digest, size = hashlib.sha256(), 0
    with _named(f"{run_id}/{entity.filename}"):
        with closing(store.open_entity(run_id, entity)) as source:
            while data := source.read(READ_BYTES):
                digest.update(data)
                size += len(data)
                yield data
        if (size, digest.hexdigest()) != (entity.size_bytes, entity.sha256):
            # A deletion empties the files it removes, also those that are being read.
            if store.is_deleted(run_id):
                raise NotFound("RUN_NOT_FOUND", "no such run")
            raise DataLoss("ENTITY_CORRUPT", "the bytes are not those that were recorded")


def check_bytes(store: RunSource, seen: RunView) -> None:
    """Read everything of a run that an audience sees. Raises as `recorded_bytes`."""
    for entity in seen.present:
        for _ in recorded_bytes(store, seen.whole.run_id, entity):
            pass


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except DataLoss as error:
        raise DataLoss(error.reason, f"{what}: {error.message}") from error
