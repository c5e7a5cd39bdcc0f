"""When a reserve is made, and when ordinary writes may go on."""

from __future__ import annotations

import pytest

from services.recorder.domain.room import (
    LEAST_FREE_BYTES,
    LEAST_FREE_FILES,
    SPARE_FILES,
    Supply,
    may_open,
    spare_bytes,
    spares_to_make,
)

MIB = 1024 * 1024
PLENTY = Supply(free_bytes=1024 * MIB, total_bytes=2048 * MIB, free_files=100_000)


def supply(free_bytes: int = PLENTY.free_bytes, free_files: int | None = 100_000) -> Supply:
    return Supply(free_bytes, PLENTY.total_bytes, free_files)


@pytest.mark.parametrize("reserve", [0, 1, 7, 8, 9, 16 * MIB, 16 * MIB + 1])
def test_the_spare_files_together_are_the_reserve_and_hardly_more(reserve: int) -> None:
    assert 0 <= spare_bytes(reserve) * SPARE_FILES - reserve < SPARE_FILES


def test_with_plenty_of_room_everything_missing_is_made() -> None:
    assert spares_to_make(SPARE_FILES, 2 * MIB, PLENTY) == SPARE_FILES
    assert spares_to_make(0, 2 * MIB, PLENTY) == 0


@pytest.mark.parametrize(
    ("free", "made"),
    [
        (0, 0),
        (LEAST_FREE_BYTES, 0),
        (2 * MIB + LEAST_FREE_BYTES - 1, 0),
        (2 * MIB + LEAST_FREE_BYTES, 1),
        (6 * MIB + LEAST_FREE_BYTES + 5, 3),
        (100 * MIB, SPARE_FILES),
    ],
)
def test_as_many_are_made_as_leave_something_free(free: int, made: int) -> None:
    assert spares_to_make(SPARE_FILES, 2 * MIB, supply(free_bytes=free)) == made


@pytest.mark.parametrize(
    ("free", "made"),
    [(0, 0), (LEAST_FREE_FILES, 0), (LEAST_FREE_FILES + 1, 1), (LEAST_FREE_FILES + 3, 3)],
)
def test_every_spare_file_needs_an_inode_too(free: int, made: int) -> None:
    assert spares_to_make(SPARE_FILES, 2 * MIB, supply(free_files=free)) == made


def test_a_file_system_that_counts_no_files_never_runs_out_of_them() -> None:
    assert spares_to_make(SPARE_FILES, 2 * MIB, supply(free_files=None)) == SPARE_FILES
    assert may_open(0, supply(free_files=None))


def test_a_file_system_that_does_not_tell_its_room_is_tried() -> None:
    silent = Supply(free_bytes=0, total_bytes=0, free_files=None)
    assert spares_to_make(SPARE_FILES, 2 * MIB, silent) == SPARE_FILES
    assert may_open(0, silent)


def test_ordinary_writes_go_on_once_the_reserve_is_whole_and_something_is_free() -> None:
    assert may_open(0, PLENTY)
    assert not may_open(1, PLENTY)
    assert not may_open(0, supply(free_bytes=LEAST_FREE_BYTES - 1))
    assert not may_open(0, supply(free_files=LEAST_FREE_FILES - 1))


def test_what_a_spare_file_freed_is_not_enough_to_make_it_again() -> None:
    # Otherwise a full disk would be opened and shut all the time.
    freed = supply(free_bytes=2 * MIB, free_files=1)
    assert spares_to_make(1, 2 * MIB, freed) == 0
