"""The journal of hand-ins: on disk and its twin in memory keep the same promises."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.kit.clock import ManualClock
from services.kit.errors import Unavailable
from services.media.comfy import sqlite_journal
from services.media.comfy.journal import HandIn, Journal, MemoryJournal
from services.media.comfy.sqlite_journal import FILE, SqliteJournal

FIRST = HandIn("runs/a/uploads/output-1", "id-1", "http://one:8188", 1, 1000.5)


@pytest.fixture(params=["disk", "memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    on_disk = SqliteJournal(tmp_path / "state", ManualClock())
    await on_disk.open()
    yield on_disk
    await on_disk.close()


async def test_what_was_never_handed_in_is_unknown(journal: Journal) -> None:
    assert await journal.get(FIRST.upload) is None


async def test_the_newest_hand_in_of_an_upload_counts_and_others_are_their_own(
    journal: Journal,
) -> None:
    second = replace(FIRST, url="http://two:8188", attempt=2, stopped=True)
    other = replace(FIRST, upload="runs/b/uploads/output-1", prompt_id="id-2")
    for hand_in in (FIRST, other, second):
        await journal.put(hand_in)
    assert await journal.get(FIRST.upload) == second
    assert await journal.get(other.upload) == other


async def test_a_killed_process_leaves_what_it_had_put(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, pathlib\n"
        "from services.kit.clock import ManualClock\n"
        "from services.media.comfy.journal import HandIn\n"
        "from services.media.comfy.sqlite_journal import SqliteJournal\n"
        "async def main():\n"
        f"    journal = SqliteJournal(pathlib.Path({str(tmp_path)!r}), ManualClock())\n"
        "    await journal.open()\n"
        f"    await journal.put({FIRST!r})\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=os.getcwd())
    assert await asyncio.wait_for(process.wait(), 20) == -9
    journal = SqliteJournal(tmp_path, ManualClock())
    await journal.open()
    assert await journal.get(FIRST.upload) == FIRST
    await journal.close()


async def test_copies_of_the_service_share_one_file(tmp_path: Path) -> None:
    journals = [SqliteJournal(tmp_path, ManualClock()) for _ in range(3)]
    await asyncio.gather(*(journal.open() for journal in journals))
    entries = [replace(FIRST, upload=f"runs/a/uploads/output-{n}") for n in range(60)]
    await asyncio.gather(*(journals[n % 3].put(entry) for n, entry in enumerate(entries)))
    assert [await journals[1].get(entry.upload) for entry in entries] == entries
    for journal in journals:
        await journal.close()


async def test_a_broken_file_is_set_aside_and_kept(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database, " * 1000)
    journal = SqliteJournal(tmp_path, ManualClock())
    await journal.open()
    await journal.put(FIRST)
    assert await journal.get(FIRST.upload) == FIRST
    assert (tmp_path / f"{FILE}.broken").read_bytes().startswith(b"no database")
    await journal.close()


@pytest.mark.parametrize("what", ["file in the way", "cannot be written"])
async def test_a_folder_that_cannot_be_used_names_the_setting(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "state"
    if what == "file in the way":
        folder.write_bytes(b"")
    else:
        (folder / FILE).mkdir(parents=True)
    journal = SqliteJournal(folder, ManualClock())
    with pytest.raises(Unavailable, match="ARTLAB_MEDIA_STATE") as caught:
        await journal.open()
    assert caught.value.reason == "MEDIA_STATE_UNAVAILABLE"
    await journal.close()


async def test_it_stays_small_whatever_was_handed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_journal, "MAX_KEPT", 10)
    monkeypatch.setattr(sqlite_journal, "PRUNE_EVERY", 5)
    clock = ManualClock()
    journal = SqliteJournal(tmp_path, clock)
    await journal.open()
    for number in range(40):
        clock.advance(1)
        await journal.put(replace(FIRST, upload=f"runs/a/uploads/output-{number}"))
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        rows = [name for (name,) in database.execute("SELECT upload FROM handed_in")]
    assert sorted(rows) == sorted(f"runs/a/uploads/output-{number}" for number in range(30, 40))
    clock.advance(timedelta(days=3).total_seconds())
    assert await journal.get("runs/a/uploads/output-39") is None
    await journal.close()
