"""Reading an entity: in chunks, and never the last one of bytes that are not the recorded ones."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing

from services.kit.errors import DataLoss, NotFound, OutOfRange
from services.kit.ids import EntityName, RunId
from services.recorder.domain.entity import Entity
from services.recorder.domain.erasure import entity_erased
from services.recorder.domain.views import view
from services.recorder.domain.vocabulary import Audience
from services.recorder.ports import Store
from services.recorder.ports_bytes import EntityBytes
from services.recorder.table import RunTable, run_not_found
from services.recorder.threads import Threads

CHUNK_BYTES = 256 * 1024
# Chunks per visit to a thread.
_BATCH = 4


class Reading:
    """Reads entities."""

    def __init__(self, store: Store, table: RunTable, threads: Threads) -> None:
        self._store = store
        self._table = table
        self._threads = threads

    async def read(
        self, name: EntityName, offset: int, limit: int, audience: Audience
    ) -> AsyncGenerator[bytes, None]:
        """Yield `limit` bytes (0: all) from `offset` on, in chunks of at most 256 KiB.

        The whole entity is hashed, whatever part is asked for. Raises NotFound RUN_NOT_FOUND,
        ENTITY_NOT_FOUND (the former also when the run is deleted meanwhile); PermissionDenied
        AUDIENCE_TOO_LOW; FailedPrecondition ENTITY_ERASED (also meanwhile); OutOfRange
        OFFSET_TOO_LARGE; DataLoss ENTITY_CORRUPT.
        """
        entity = view(await self._table.read(name.run), audience).entity(name.sequence)
        if entity.is_erased:
            raise entity_erased()
        if offset > entity.size_bytes:
            raise OutOfRange(
                "OFFSET_TOO_LARGE", f"the entity has {entity.size_bytes} bytes", field="offset"
            )
        end = min(entity.size_bytes, offset + limit) if limit else entity.size_bytes
        chunks = _verified(self._store, name.run, entity, offset, end)
        batch = await self._threads.run(_take, chunks)
        while len(batch) == _BATCH:
            # Read and hashed while the one before it is sent.
            ahead = self._threads.start(self._threads.run(_take, chunks))
            for chunk in batch:
                yield chunk
            batch = await ahead
        for chunk in batch:
            yield chunk


def _take(chunks: Iterator[bytes]) -> list[bytes]:
    return list(itertools.islice(chunks, _BATCH))


def _verified(store: Store, run_id: RunId, entity: Entity, start: int, end: int) -> Iterator[bytes]:
    # The generator owns the file: when its reader leaves, a thread may still be inside, and only
    # once that is done does the generator go away and close what it opened.
    digest = hashlib.sha256()
    position = 0
    kept = b""
    with closing(_opened(store, run_id, entity)) as source:
        while data := source.read(CHUNK_BYTES):
            digest.update(data)
            part = data[max(0, start - position) : max(0, end - position)]
            position += len(data)
            if part:
                if kept:
                    yield kept
                kept = part
    if position != entity.size_bytes or digest.hexdigest() != entity.sha256:
        # The bytes of a run that is deleted go away under whoever reads them.
        if store.is_deleted(run_id):
            raise run_not_found()
        _check_not_erased(store, run_id, entity)
        raise DataLoss("ENTITY_CORRUPT", "the bytes are not those that were recorded")
    if kept:
        yield kept


def _opened(store: Store, run_id: RunId, entity: Entity) -> EntityBytes:
    try:
        return store.open_entity(run_id, entity)
    except (DataLoss, NotFound):
        _check_not_erased(store, run_id, entity)
        raise


def _check_not_erased(store: Store, run_id: RunId, entity: Entity) -> None:
    # The record says so before the bytes go.
    if store.load_run(run_id).entity(entity.sequence).is_erased:
        raise entity_erased()
