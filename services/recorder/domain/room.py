"""How much a disk may be filled, and what is kept back for ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass

# Several, so that each one given up frees a file name (inode) as well as bytes.
SPARE_FILES = 8
# What must be free beyond the reserve before it is made: enough to do something with.
LEAST_FREE_BYTES = 64 * 1024
# An upload takes up to three files, and a new metadata.json one beside the old.
LEAST_FREE_FILES = 4


@dataclass(frozen=True, slots=True)
class Supply:
    """What a file system has left for us."""

    # Not counted where the total is 0, as some network file systems have it.
    free_bytes: int
    total_bytes: int
    # None where files are not counted.
    free_files: int | None

    @property
    def is_short(self) -> bool:
        """Whether nothing worth a word can be written."""
        if self.total_bytes and self.free_bytes < LEAST_FREE_BYTES:
            return True
        return self.free_files is not None and self.free_files < LEAST_FREE_FILES


@dataclass(frozen=True, slots=True)
class Room:
    """How much room a store has; when it is full, only ends, reads and deletions are possible."""

    free_bytes: int
    total_bytes: int
    is_full: bool


def spare_bytes(reserve_bytes: int) -> int:
    """Size of one spare file; all together are at least the reserve."""
    return -(-reserve_bytes // SPARE_FILES)


def spares_to_make(missing: int, size: int, supply: Supply) -> int:
    """How many of the missing spare files, of `size` bytes each, there is room for."""
    if supply.is_short:
        return 0
    affordable = missing
    if size and supply.total_bytes:
        affordable = min(affordable, (supply.free_bytes - LEAST_FREE_BYTES) // size)
    if supply.free_files is not None:
        affordable = min(affordable, supply.free_files - LEAST_FREE_FILES)
    return affordable


def may_open(missing: int, supply: Supply) -> bool:
    """Whether ordinary writes may go on: the reserve is whole, and something is free beside it."""
    return missing == 0 and not supply.is_short
