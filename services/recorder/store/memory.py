"""The store's twin in memory: the same promises for as long as the object lives."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from services.kit.errors import DataLoss, FailedPrecondition, NotFound
from services.kit.ids import RunId, UploadName
from services.recorder.domain.claim import Claim
from services.recorder.domain.entity import Entity
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.room import Room, Supply, may_open
from services.recorder.domain.run import Run, run_deleted
from services.recorder.domain.upload import UploadRecord
from services.recorder.ports import Contents, Inspection, Intake, OpenedUpload, Stamp
from services.recorder.ports_bytes import UploadBytes
from services.recorder.store.codec import RunEncoder, decode_run
from services.recorder.store.faults import storage_full
from services.recorder.store.memory_bytes import MemoryBytes, MemoryUpload
from services.recorder.store.memory_import import MemoryImport
from services.recorder.verify import NOT_ERASED

UNLIMITED_BYTES = 2**62


class MemoryStore:
    """See `services.recorder.ports.Store`. May be closed and opened again."""

    def __init__(self, capacity_bytes: int = UNLIMITED_BYTES, reserve_bytes: int = 0) -> None:
        """Full at so many bytes; only ends may take the last `reserve_bytes` of them."""
        self.capacity_bytes = capacity_bytes
        self._reserve_bytes = reserve_bytes
        self._takes_new = True
        self._store_id = str(uuid.uuid4())
        self._documents: dict[RunId, bytes] = {}
        self._entities: dict[tuple[RunId, str], bytes] = {}
        self._data: dict[UploadName, bytearray] = {}
        self._records: dict[UploadName, UploadRecord] = {}
        self._deleted: set[RunId] = set()
        self._favourites: set[RunId] = set()
        self._imported: set[RunId] = set()
        self._claims: dict[RunId, Claim] = {}
        self._scrub = b""
        self._is_open = False

    def open(self, intake: Intake | None = None) -> Contents:
        """Tell what there is; uploads nobody kept are gone."""
        if self._is_open:
            raise FailedPrecondition("STORE_LOCKED", "the store is open already")
        self._is_open = True
        for name in set(self._data) - set(self._records):
            del self._data[name]
        if intake is not None:
            intake.begin()
        runs: list[Run] = []
        damaged: list[RunId] = []
        for run_id in sorted(self._documents):
            try:
                runs.append(self.load_run(run_id))
            except DataLoss:
                damaged.append(run_id)
                continue
            if intake is not None:
                intake.found(runs[-1], self.stamp(run_id), is_durable=True)
        uploads = [
            OpenedUpload(record, len(self._data[name])) for name, record in self._records.items()
        ]
        open_runs = [run for run in runs if not run.is_final]
        claims = dict(self._claims)
        return Contents([run.run_id for run in runs], open_runs, damaged, uploads, claims)

    def close(self) -> None:
        """Let somebody else open it."""
        self._is_open = False

    def store_id(self) -> str:
        """Return the id of this store."""
        return self._store_id

    def run_ids(self) -> list[RunId]:
        """Return every run there is."""
        return list(self._documents)

    def create_run(self, run: Run, data: Sequence[bytes] = ()) -> None:
        """Keep the run and its first entities."""
        if run.run_id in self._deleted:
            raise run_deleted()
        self.add_entities(run, data)

    def save_run(self, run: Run, *, is_end: bool) -> None:
        """Replace the run's metadata."""
        self._documents[run.run_id] = self._encoded(run, is_end=is_end)
        if run.is_final:
            self._claims.pop(run.run_id, None)

    def load_run(self, run_id: RunId) -> Run:
        """Return a run."""
        try:
            return decode_run(self.read_document(run_id), run_id)
        except DocumentError as error:
            raise DataLoss("METADATA_CORRUPT", f"damaged: {error}") from error

    def reload_run(self, run_id: RunId) -> Run:
        """Return a run; nothing fails half-way here."""
        return self.load_run(run_id)

    def stamp(self, run_id: RunId) -> Stamp:
        """Return a stamp that tells documents apart."""
        document = self.read_document(run_id)
        return Stamp(0, hash(document), len(document))

    def read_document(self, run_id: RunId) -> bytes:
        """Return metadata.json."""
        if run_id not in self._documents:
            raise NotFound("RUN_NOT_FOUND", "no such run")
        return self._documents[run_id]

    def inspect_run(self, run_id: RunId) -> Inspection[list[str]]:
        """Look at every byte of a run."""
        try:
            yield len(self.read_document(run_id))
            run = self.load_run(run_id)
        except DataLoss as error:
            return [f"metadata.json: {error.message}"]
        defects = []
        for entity in run.entities:
            data = self._entities.get((run_id, entity.filename), b"")
            yield len(data)
            if entity.is_erased:
                defects.extend([f"{entity.filename}: {NOT_ERASED}"] if data else [])
            elif hashlib.sha256(data).hexdigest() != entity.sha256:
                defects.append(f"{entity.filename}: not the recorded SHA-256")
        return defects

    def read_scrub(self) -> bytes:
        """Return what `write_scrub` wrote last."""
        return self._scrub

    def write_scrub(self, state: bytes) -> None:
        """Keep how far the scrubber is."""
        self._scrub = state

    def favourites(self) -> list[RunId]:
        """Return the runs that are marked."""
        return sorted(self._favourites)

    def set_favourite(self, run_id: RunId, wanted: bool) -> None:
        """Mark a run, or no longer."""
        if wanted:
            self._favourites.add(run_id)
        else:
            self._favourites.discard(run_id)

    def save_claim(self, run_id: RunId, claim: Claim) -> None:
        """Replace what is kept of a run's claim."""
        self._claims[run_id] = claim

    def is_imported(self, run_id: RunId) -> bool:
        """Whether a run came in by an import."""
        return run_id in self._imported

    def delete_run(self, run_id: RunId) -> None:
        """Remove every byte of a run."""
        if self._documents.pop(run_id, None) is not None:
            self._deleted.add(run_id)
        self._favourites.discard(run_id)
        self._imported.discard(run_id)
        self._claims.pop(run_id, None)
        for key in [key for key in self._entities if key[0] == run_id]:
            del self._entities[key]
        for name in [name for name in self._data if name.run == run_id]:
            self.discard_upload(name)

    def is_deleted(self, run_id: RunId) -> bool:
        """Whether the run was here and was deleted."""
        return run_id in self._deleted

    def sweep(self) -> None:
        """Nothing is ever left; see whether there is room again, or none any more."""
        self._takes_new = may_open(0, self._supply())

    def room(self) -> Room:
        """How much room there is."""
        supply = self._supply()
        return Room(supply.free_bytes, supply.total_bytes, not self._takes_new or supply.is_short)

    def add_entities(self, run: Run, data: Sequence[bytes]) -> None:
        """Make `data` the newest entities of a run."""
        self._check_room(sum(map(len, data)))
        document = self._encoded(run, is_end=False)
        newest = run.entities[len(run.entities) - len(data) :]
        for entity, content in zip(newest, data, strict=True):
            self._entities[run.run_id, entity.filename] = content
        self._documents[run.run_id] = document

    def begin_upload(self, record: UploadRecord) -> MemoryUpload:
        """Start an upload with no bytes."""
        self._records[record.name] = record
        self._data[record.name] = bytearray()
        return self.reopen_upload(record)

    def reopen_upload(self, record: UploadRecord) -> MemoryUpload:
        """Open an upload at its end."""
        return MemoryUpload(record.draft.type, self._data[record.name], self._check_room)

    def keep_upload(self, record: UploadRecord, data: UploadBytes) -> int:
        """Keep an unfinished upload."""
        self._records[record.name] = record
        return data.sync()

    def discard_upload(self, name: UploadName) -> None:
        """Remove an upload."""
        self._records.pop(name, None)
        self._data.pop(name, None)

    def commit(self, record: UploadRecord, data: UploadBytes, run: Run) -> None:
        """Make an upload an entity."""
        if record.intent is None:
            raise ValueError("an upload is committed with an intent")
        document = self._encoded(run, is_end=False)
        self._entities[run.run_id, record.intent.filename] = bytes(self._data[record.name])
        self._documents[run.run_id] = document
        self.discard_upload(record.name)

    def upload_sizes(self) -> dict[str, int]:
        """Bytes that unfinished uploads take, by name."""
        return {str(name): len(data) for name, data in self._data.items()}

    def erase_entity(self, run_id: RunId, entity: Entity) -> None:
        """Remove the bytes of an entity."""
        self._entities.pop((run_id, entity.filename), None)

    def stage_import(self) -> MemoryImport:
        """Make room for an archive on its way in."""
        return MemoryImport(self._documents, self._entities, self._imported)

    def open_entity(self, run_id: RunId, entity: Entity) -> MemoryBytes:
        """Open an entity's bytes."""
        data = self._entities.get((run_id, entity.filename))
        if data is None:
            raise NotFound("RUN_NOT_FOUND", "no such run")
        return MemoryBytes(data)

    def _encoded(self, run: Run, *, is_end: bool) -> bytes:
        document = RunEncoder().encode(run)
        more = len(document) - len(self._documents.get(run.run_id, b""))
        self._check_room(more, is_end=is_end)
        return document

    def _check_room(self, more: int, *, is_end: bool = False) -> None:
        free = self._supply().free_bytes
        if is_end:
            free += self._reserve_bytes
        elif not self._takes_new:
            free = 0
        if more > free:
            raise storage_full()

    def _supply(self) -> Supply:
        free = self.capacity_bytes - self._used() - self._reserve_bytes
        return Supply(free, self.capacity_bytes, None)

    def _used(self) -> int:
        if self.capacity_bytes == UNLIMITED_BYTES:
            return 0
        documents = sum(map(len, self._documents.values()))
        entities = sum(map(len, self._entities.values()))
        return documents + entities + sum(map(len, self._data.values()))
