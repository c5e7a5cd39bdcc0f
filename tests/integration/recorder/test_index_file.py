"""The index's file: thrown away when it is wrong, and nothing left in it of what was deleted."""

from __future__ import annotations

import random
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.recorder.domain.filter import Filter
from services.recorder.domain.vocabulary import Audience
from services.recorder.index.port import IndexDamagedError
from services.recorder.index.sqlite import SqliteIndex
from tests.integration.recorder.test_index import entry, numbers
from tests.support.run_folders import run_id_of

BESIDE = ("", "-wal", "-shm", "-journal", ".new")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the index is."""
    return tmp_path / ".index" / "runs.sqlite"


@pytest.fixture
def index(file: Path) -> Iterator[SqliteIndex]:
    """An opened index of three runs."""
    opened = SqliteIndex(file)
    opened.open()
    opened.put([entry(number) for number in range(3)], [])
    yield opened
    opened.close()


def test_what_was_put_is_there_after_a_stop_with_its_stamps(index: SqliteIndex, file: Path) -> None:
    index.put([replace(entry(3), is_durable=False), replace(entry(4), stamp=None)], [])
    index.close()
    stamps = index.open()
    assert stamps == {run_id_of(n).value: entry(n).stamp for n in range(3)}
    assert numbers(index) == [4, 3, 2, 1, 0]


def test_only_its_owner_and_group_may_read_it(index: SqliteIndex, file: Path) -> None:
    index.put([entry(5)], [run_id_of(0)])
    for _ in range(2):
        for path in file.parent.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0, path
        assert stat.S_IMODE(file.parent.stat().st_mode) & 0o027 == 0
        index.purge()
        index.rewrite()


def older(file: Path) -> None:
    """As another version wrote it."""
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()


def cut(file: Path) -> None:
    """Half of it is gone."""
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def torn(file: Path) -> None:
    """The pages behind the first are noise."""
    data = file.read_bytes()
    file.write_bytes(data[:4096] + random.Random(1).randbytes(len(data) - 4096))


def of_somebody_else(file: Path) -> None:
    """Another program's tables."""
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
    connection.close()


def a_folder(file: Path) -> None:
    """A folder lies in its place."""
    file.unlink()
    file.mkdir()
    (file / "x").write_text("x")


def a_link(file: Path) -> None:
    """A link to somewhere else lies in its place."""
    elsewhere = file.parent.parent / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


@pytest.mark.parametrize(
    "harm",
    [
        older,
        cut,
        torn,
        of_somebody_else,
        a_link,
        a_folder,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"not a database" * 1000),
        lambda file: file.unlink(),
        lambda file: file.with_name(file.name + "-wal").write_bytes(b"noise" * 5000),
        lambda file: file.with_name(file.name + ".new").write_bytes(b"half of a copy"),
    ],
)
def test_a_wrong_file_is_as_good_as_none(
    index: SqliteIndex, file: Path, harm: Callable[[Path], object]
) -> None:
    index.close()
    harm(file)
    known = index.open()
    for number in range(3):
        if run_id_of(number).value not in known:
            index.put([entry(number)], [])
    index.put([entry(3)], [])
    assert numbers(index) == [3, 2, 1, 0]
    assert numbers(index, Filter(text="nummer 2")) == [2]


@pytest.mark.parametrize("harm", [cut, torn])
def test_damage_while_it_is_open_is_said_and_emptied_it_works_again(
    index: SqliteIndex, file: Path, harm: Callable[[Path], object]
) -> None:
    index.put([entry(number) for number in range(3, 500)], [])
    assert index.purge()
    index.close()
    index.open()  # and so it has read nothing but the stamps
    harm(file)
    with pytest.raises(IndexDamagedError):
        ask_everything(index)
    index.empty()
    index.put([entry(1)], [])
    assert numbers(index) == [1]


def ask_everything(index: SqliteIndex) -> None:
    """Read every page of the file."""
    index.stats(Filter(text="nirgends"), Audience.RESEARCH)
    index.page(Filter(), Audience.RESEARCH, None, 1000)


def test_a_file_that_breaks_again_and_again_is_given_up_for_memory(
    index: SqliteIndex, file: Path
) -> None:
    for _ in range(10):
        index.empty()
    index.put([entry(1)], [])
    assert numbers(index) == [1]
    assert not file.exists()


def test_a_folder_nobody_may_write_keeps_the_index_in_memory(tmp_path: Path) -> None:
    (tmp_path / ".index").write_text("in the way")
    index = SqliteIndex(tmp_path / ".index" / "runs.sqlite")
    assert index.open() == {}
    index.put([entry(1)], [])
    assert numbers(index) == [1]
    assert index.purge()
    index.rewrite()
    index.close()


def bytes_of(file: Path) -> bytes:
    """Everything below the folder of the index."""
    return b"".join(path.read_bytes() for path in sorted(file.parent.iterdir()))


@pytest.mark.parametrize("seed", range(3))
def test_purged_no_byte_is_left_of_any_text_that_was_forgotten(file: Path, seed: int) -> None:
    draw = random.Random(seed)
    index = SqliteIndex(file)
    index.open()
    alive: dict[int, str] = {}
    for turn in range(1, 150):
        gone = [draw.choice(list(alive))] if alive and turn % 3 == 0 else []
        put = []
        for _ in range(draw.randint(1, 8)):
            number = draw.randrange(400)
            marker = f"mark{draw.getrandbits(64):016x}"
            size = draw.choice([1, 1, 2, 5, 20, 300, 3000])
            if number not in gone:
                alive[number] = marker
                put.append(entry(number, marker * size))
        for number in gone:
            del alive[number]
        index.put(put, [run_id_of(number) for number in gone])
        if turn % 40 == 0:
            index.rewrite()
        if turn % 10 == 0:
            assert index.purge()
            found = set(re.findall(rb"mark[0-9a-f]{16}", bytes_of(file)))
            assert found == {marker.encode() for marker in alive.values()}
    index.close()


def test_written_anew_no_byte_is_left_of_any_run_that_was_forgotten(file: Path) -> None:
    index = SqliteIndex(file)
    index.open()
    draw = random.Random(1)
    alive = set(range(600))
    order = sorted(alive, key=lambda _: draw.random())
    for start in range(0, len(order), 7):
        put = [entry(number) for number in order[start : start + 7]]
        index.put([replace(one, renders=frozenset({"a" * 64})) for one in put], [])
    for number in order[::3]:
        index.put([], [run_id_of(number)])
        alive.discard(number)
    assert index.purge()
    index.rewrite()
    assert index.purge()
    data = bytes_of(file)
    for number in range(600):
        assert (run_id_of(number).value.encode() in data) is (number in alive)
    assert {one.summary.run.seed for one in index.page(Filter(), Audience.RESEARCH, None, 999)} == (
        alive
    )
    size = file.stat().st_size
    index.rewrite()
    assert file.stat().st_size == size
    index.close()
    assert len(index.open()) == len(alive)
    index.close()


def test_an_output_is_found_among_a_hundred_thousand_runs_in_a_moment(index: SqliteIndex) -> None:
    rows = (
        (f"user-{number % 100}", f"{number % 3:064x}", number, run_id_of(number).value)
        for number in range(100_000)
    )
    index._connection.execute("BEGIN")
    index._connection.executemany("INSERT INTO renders VALUES (?, ?, ?, ?)", rows)
    index._connection.execute("COMMIT")
    took = []
    for user in range(50):
        began = time.perf_counter()
        found = index.renders(f"user-{user}", f"{2:064x}", 20)
        took.append(time.perf_counter() - began)
        assert len(found) == 20
        assert found == sorted(found, reverse=True)
    # A look at every row takes 5 ms and more, also where nobody else works.
    assert sorted(took)[25] < 0.003
