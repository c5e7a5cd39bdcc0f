"""The spare files of a store: really allocated, given up one by one, made again."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.kit.errors import Internal, ResourceExhausted
from services.recorder.domain.room import SPARE_FILES, spare_bytes
from services.recorder.store import reserve as reserve_module
from services.recorder.store.faults import storage_full
from services.recorder.store.layout import Layout
from services.recorder.store.reserve import Reserve
from tests.support.small_disk import fill_bytes, free_bytes, small_disk

RESERVE_BYTES = 512 * 1024
SIZE = spare_bytes(RESERVE_BYTES)


@contextmanager
def opened(root: Path, reserve_bytes: int = RESERVE_BYTES) -> Iterator[Reserve]:
    """A reserve over this root, as a store makes it."""
    layout = Layout(root)
    reserve = Reserve(layout, reserve_bytes)
    reserve.prepare()
    try:
        yield reserve
    finally:
        reserve.close()
        layout.close()


def spares(root: Path) -> list[Path]:
    folder = root / ".reserve"
    return sorted(folder.iterdir()) if folder.exists() else []


def takes_new(reserve: Reserve) -> bool:
    """Whether an ordinary write may begin."""
    try:
        with reserve.ordinary():
            return True
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


class Needy:
    """A write that finds room only at its n-th beginning."""

    def __init__(self, fails: int) -> None:
        self.fails, self.begun = fails, 0

    def __call__(self) -> str:
        self.begun += 1
        if self.begun <= self.fails:
            raise storage_full()
        return "written"


def test_the_spare_files_have_their_bytes(tmp_path: Path) -> None:
    with opened(tmp_path / "runs"):
        found = [one.stat() for one in spares(tmp_path / "runs")]
        assert [one.st_size for one in found] == [SIZE] * SPARE_FILES
        assert all(one.st_blocks * 512 >= SIZE for one in found)


def test_a_reserve_that_is_all_holes_is_allocated_again(tmp_path: Path) -> None:
    with opened(tmp_path / "runs"):
        pass
    for one in spares(tmp_path / "runs"):  # as a copy or a backup may leave it
        os.truncate(one, 0)
        os.truncate(one, SIZE)
        assert one.stat().st_blocks == 0
    with opened(tmp_path / "runs"):
        assert all(one.stat().st_blocks * 512 >= SIZE for one in spares(tmp_path / "runs"))


def test_another_size_makes_another_reserve_and_none_removes_it(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for reserve_bytes in (RESERVE_BYTES, 2 * RESERVE_BYTES, RESERVE_BYTES // 4):
        with opened(root, reserve_bytes):
            assert {one.stat().st_size for one in spares(root)} == {spare_bytes(reserve_bytes)}
    with opened(root, 0) as reserve:
        assert spares(root) == []
        assert takes_new(reserve)


def test_without_a_reserve_an_end_is_tried_once(tmp_path: Path) -> None:
    with opened(tmp_path / "runs", 0) as reserve:
        write = Needy(1)
        with pytest.raises(ResourceExhausted):
            reserve.end(write)
        assert write.begun == 1
        assert takes_new(reserve)


def test_an_end_gives_up_no_more_than_it_needs(tmp_path: Path) -> None:
    with opened(tmp_path / "runs") as reserve:
        # Once for luck, once when nobody else writes, then after each file that is given up.
        assert reserve.end(Needy(4)) == "written"
        assert len(spares(tmp_path / "runs")) == SPARE_FILES - 3
        assert not takes_new(reserve)
        assert reserve.room().is_full
        reserve.refill()
        assert len(spares(tmp_path / "runs")) == SPARE_FILES
        assert takes_new(reserve)
        assert not reserve.room().is_full


def test_an_end_that_finds_no_room_at_all_says_so(tmp_path: Path) -> None:
    with opened(tmp_path / "runs") as reserve:
        write = Needy(1_000)
        with pytest.raises(ResourceExhausted):
            reserve.end(write)
        assert spares(tmp_path / "runs") == []
        assert write.begun == 2 + SPARE_FILES


def test_an_end_that_fails_for_another_reason_is_not_begun_again(tmp_path: Path) -> None:
    begun = []

    def broken() -> None:
        begun.append(1)
        raise Internal("STORAGE_ERROR", "the disk answered EIO")

    with opened(tmp_path / "runs") as reserve:
        with pytest.raises(Internal):
            reserve.end(broken)
        assert begun == [1]
        assert len(spares(tmp_path / "runs")) == SPARE_FILES
        assert takes_new(reserve)


def test_what_is_being_written_cannot_eat_what_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve_module, "PATIENCE_SECONDS", 10)
    with opened(tmp_path / "runs") as reserve:
        begun, go_on = threading.Event(), threading.Event()
        spares_then = []

        def ordinary() -> None:
            with reserve.ordinary():
                begun.set()
                go_on.wait(10)
                spares_then.append(len(spares(tmp_path / "runs")))

        writer = threading.Thread(target=ordinary)
        writer.start()
        assert begun.wait(10)
        threading.Timer(0.05, go_on.set).start()
        assert reserve.end(Needy(2)) == "written"
        writer.join(10)
        assert spares_then == [SPARE_FILES], "it was waited for before anything was given up"
        assert len(spares(tmp_path / "runs")) == SPARE_FILES - 1


def test_a_write_that_hangs_does_not_keep_an_end_from_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve_module, "PATIENCE_SECONDS", 0.01)
    with opened(tmp_path / "runs") as reserve, reserve.ordinary():
        assert reserve.end(Needy(2)) == "written"


def test_a_reserve_that_cannot_be_made_for_other_reasons_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "runs"
    (root / ".reserve" / "spare-3").mkdir(parents=True)
    with opened(root) as reserve:
        assert takes_new(reserve)
        assert [one.getMessage() for one in caplog.records] == ["the reserve cannot be made"]
        reserve.refill()
        assert len(caplog.records) == 1, "it is not told every second"


def test_a_spare_file_that_could_not_be_synced_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    with opened(root) as reserve:
        reserve.end(Needy(4))

        def full(fd: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            reserve.refill()
        assert len(spares(root)) == SPARE_FILES - 3
        assert not takes_new(reserve)
        reserve.refill()
        assert len(spares(root)) == SPARE_FILES
        assert takes_new(reserve)


def test_on_a_disk_too_small_for_the_reserve_as_much_is_kept_back_as_there_is(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", 400 * 1024, 100) as disk, opened(disk / "runs") as reserve:
        assert 0 < len(spares(disk / "runs")) < SPARE_FILES
        assert not takes_new(reserve)
        assert reserve.room().is_full


def test_the_room_is_that_of_the_disk(tmp_path: Path) -> None:
    size = 2 * 1024 * 1024
    with small_disk(tmp_path / "disk", size, 100) as disk, opened(disk / "runs") as reserve:
        room = reserve.room()
        assert (room.free_bytes, room.total_bytes, room.is_full) == (free_bytes(disk), size, False)
        assert size - RESERVE_BYTES - 64 * 1024 < room.free_bytes <= size - RESERVE_BYTES
        fill_bytes(disk / "filler")
        assert reserve.room().is_full
        assert reserve.room().free_bytes == 0
