"""What the recorder needs from a store. Two implementations: `store.disk` and `store.memory`.

Every method blocks and is called in a worker thread; calls about one run never overlap, except
reads. Errors of the medium arrive as ResourceExhausted STORAGE_FULL or Internal STORAGE_ERROR.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from services.kit.ids import RunId, UploadName
from services.recorder.domain.claim import Claim
from services.recorder.domain.entity import Entity
from services.recorder.domain.room import Room
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.ports_bytes import EntityBytes, StagedImport, UploadBytes

T = TypeVar("T")

# A look at many bytes in small steps: yields how many were read since it was asked last, so that
# whoever asks sets the pace, and returns what comes out.
Inspection = Generator[int, None, T]


@dataclass(frozen=True, slots=True)
class OpenedUpload:
    """An unfinished upload that was found at start."""

    record: UploadRecord
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store holds when it is opened, after recovery: final runs by their id only.

    `claims` are the last ones that were kept of open runs.
    """

    run_ids: Sequence[RunId]
    open_runs: Sequence[Run]
    damaged: Sequence[RunId]
    uploads: Sequence[OpenedUpload]
    claims: Mapping[RunId, Claim] = field(default_factory=dict)


class Stamp(NamedTuple):
    """Tells one file from what was put in its place or written into it: inode, ctime, size."""

    inode: int
    changed_ns: int
    size_bytes: int


class Intake(Protocol):
    """Is told what a store holds while it is opened, in the thread that opens it."""

    def begin(self) -> None:
        """Nobody else has the store from now on."""
        ...

    def is_settled(self, run_id: RunId, stamp: Stamp) -> bool:
        """Whether a run was final and durable when its metadata had this stamp.

        Then it needs no recovery, and is not told as found.
        """
        ...

    def found(self, run: Run, stamp: Stamp | None, *, is_durable: bool) -> None:
        """Any other run; recovered, or as it is when the disk did not let us.

        The stamp was taken before the run was read.
        """
        ...


class Follower(Protocol):
    """Is told what has become durable, from the event loop. Never waits, never raises."""

    def saved(self, run: Run) -> None:
        """A run is new or has changed."""
        ...

    def removed(self, run_id: RunId) -> None:
        """A run is gone."""
        ...


class Store(Protocol):
    """Run folders."""

    def open(self, intake: Intake | None = None) -> Contents:
        """Recover what a crash interrupted, and tell what there is; without intake, of every run.

        Raises FailedPrecondition: STORE_LOCKED (another recorder has it), STORE_MISSING.
        """
        ...

    def close(self) -> None:
        """Let another process have it."""
        ...

    def store_id(self) -> str:
        """Return the id of this store: a UUID, the same for its whole life."""
        ...

    def run_ids(self) -> list[RunId]:
        """Return every run there is now, damaged ones included, in any order."""
        ...

    def create_run(self, run: Run, data: Sequence[bytes] = ()) -> None:
        """Make the run durable together with the bytes of its entities, or none of it.

        Raises FailedPrecondition RUN_DELETED.
        """
        ...

    def save_run(self, run: Run, *, is_end: bool) -> None:
        """Replace the run's metadata durably, or leave it as it was.

        What ends a run or an output may take room that is kept back for it.
        """
        ...

    def load_run(self, run_id: RunId) -> Run:
        """Return a run. Raises NotFound RUN_NOT_FOUND, DataLoss METADATA_CORRUPT."""
        ...

    def reload_run(self, run_id: RunId) -> Run:
        """Finish or undo what a failed write left behind, then load."""
        ...

    def stamp(self, run_id: RunId) -> Stamp:
        """Return the stamp of a run's metadata. Raises NotFound RUN_NOT_FOUND."""
        ...

    def read_document(self, run_id: RunId) -> bytes:
        """Return metadata.json byte for byte. Raises as `load_run`."""
        ...

    def inspect_run(self, run_id: RunId) -> Inspection[list[str]]:
        """Look at every byte of a run in small steps; see `services.recorder.verify`.

        Comes out: what is wrong with it, one line each. Raises NotFound RUN_NOT_FOUND.
        """
        ...

    def read_scrub(self) -> bytes:
        """Return what `write_scrub` wrote last; nothing when there is nothing."""
        ...

    def write_scrub(self, state: bytes) -> None:
        """Keep how far the scrubber is. It may be lost with the power."""
        ...

    def favourites(self) -> list[RunId]:
        """Return the runs that are marked as ones to keep."""
        ...

    def set_favourite(self, run_id: RunId, wanted: bool) -> None:
        """Mark a run that is there, or no longer, durably."""
        ...

    def save_claim(self, run_id: RunId, claim: Claim) -> None:
        """Replace what is kept of an open run's claim, durably.

        It goes by itself when the run is final or deleted. Takes room that is kept back if it must.
        """
        ...

    def is_imported(self, run_id: RunId) -> bool:
        """Whether a run came in by an import: a pseudonym there may be another person here."""
        ...

    def delete_run(self, run_id: RunId) -> None:
        """Put a run out of sight for ever and remove every byte of it and its uploads.

        Nothing happens when there is none. What cannot be removed now is left to `sweep`.
        """
        ...

    def is_deleted(self, run_id: RunId) -> bool:
        """Whether the run was here and was deleted. Asks the memory only."""
        ...

    def sweep(self) -> None:
        """Try again to remove what deletions left, and to keep room back. Logs what fails."""
        ...

    def room(self) -> Room:
        """How much room there is."""
        ...

    def add_entities(self, run: Run, data: Sequence[bytes]) -> None:
        """Make `data` the newest entities of `run`, durable together; on failure none is."""
        ...

    def begin_upload(self, record: UploadRecord) -> UploadBytes:
        """Start an upload with no bytes; it outlives this process."""
        ...

    def reopen_upload(self, record: UploadRecord) -> UploadBytes:
        """Open an upload at its end, its content known again."""
        ...

    def keep_upload(self, record: UploadRecord, data: UploadBytes) -> int:
        """Make an unfinished upload durable and return its size."""
        ...

    def discard_upload(self, name: UploadName) -> None:
        """Remove an upload and its bytes."""
        ...

    def commit(self, record: UploadRecord, data: UploadBytes, run: Run) -> None:
        """Make `record.intent` an entity of its run; `run` is the run with it.

        `data` is complete; it is made durable and closed. When the disk is full the bytes stay,
        to be reopened; after any other error the upload must be discarded.
        """
        ...

    def open_entity(self, run_id: RunId, entity: Entity) -> EntityBytes:
        """Open an entity's bytes.

        Raises NotFound RUN_NOT_FOUND; DataLoss ENTITY_CORRUPT (missing, wrong size, no file).
        """
        ...

    def erase_entity(self, run_id: RunId, entity: Entity) -> None:
        """Remove the bytes of an entity, durably; nothing happens when they are gone.

        The record must say before that it is erased: whoever opens the store removes them too.
        """
        ...

    def stage_import(self) -> StagedImport:
        """Make room for an archive on its way in."""
        ...
