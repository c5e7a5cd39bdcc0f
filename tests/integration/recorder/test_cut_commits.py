"""A writer that goes away while its last byte is being committed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.clock import ManualClock
from services.kit.errors import ResourceExhausted
from services.kit.ids import RunId, UploadName
from services.recorder.commits import Declared
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.index.memory import MemoryIndex
from services.recorder.parse import parse_draft, parse_plan
from services.recorder.ports_bytes import UploadBytes
from services.recorder.recorder import Recorder
from services.recorder.store.disk import DiskStore
from services.recorder.writing import Chunk
from tests.integration.recorder.harness import LIMITS, PNG, digest_of, entity, plan
from tests.support.eventually import eventually


class HeldStore(DiskStore):
    """A disk whose commits end when they are told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.committed = threading.Event()
        self.go_on = threading.Event()
        self.kept = 0

    def commit(self, record: UploadRecord, data: UploadBytes, run: Run) -> None:
        super().commit(record, data, run)
        self.committed.set()
        assert self.go_on.wait(10)

    def keep_upload(self, record: UploadRecord, data: UploadBytes) -> int:
        self.kept += 1
        return super().keep_upload(record, data)


async def test_a_writer_cut_during_its_commit_leaves_the_commit_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = HeldStore(tmp_path / "runs")
    recorder = Recorder(store, MemoryIndex(), ManualClock(), LIMITS, 600.0)
    await recorder.open()
    name = UploadName(RunId.new(), "output-1")
    await recorder.create_run(name.run, parse_plan(pb.CreateRunRequest(run=plan())))
    digest = digest_of(PNG)
    said = Declared(digest.sha256, digest.size_bytes)

    async def chunks() -> AsyncIterator[Chunk]:
        yield Chunk(name, 0, True, said, parse_draft(entity()), PNG)

    writer = asyncio.create_task(recorder.write_entity(chunks()))
    await eventually(store.committed.is_set)
    writer.cancel()
    for _ in range(20):
        await asyncio.sleep(0.01)  # time for what must not happen
    store.go_on.set()
    await asyncio.wait({writer})
    size, found = await recorder.get_upload(name)
    assert (size, found is not None) == (len(PNG), True)
    await recorder.close()
    assert store.kept == 0
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []
    assert list((tmp_path / "runs" / ".uploads").iterdir()) == []


class FullStore(DiskStore):
    """A disk that has no room for the first commit."""

    refused = False

    def commit(self, record: UploadRecord, data: UploadBytes, run: Run) -> None:
        if not self.refused:
            self.refused = True
            raise ResourceExhausted("STORAGE_FULL", "the disk is full")
        super().commit(record, data, run)


async def test_what_a_full_disk_kept_is_told_and_can_be_finished(tmp_path: Path) -> None:
    recorder = Recorder(FullStore(tmp_path / "runs"), MemoryIndex(), ManualClock(), LIMITS, 600.0)
    await recorder.open()
    name = UploadName(RunId.new(), "output-1")
    await recorder.create_run(name.run, parse_plan(pb.CreateRunRequest(run=plan())))
    digest = digest_of(PNG)
    said = Declared(digest.sha256, digest.size_bytes)

    async def chunks(offset: int) -> AsyncIterator[Chunk]:
        yield Chunk(name, offset, True, said, parse_draft(entity()), PNG[offset:])

    with pytest.raises(ResourceExhausted, match="STORAGE_FULL"):
        await recorder.write_entity(chunks(0))
    size, _ = await recorder.get_upload(name)
    written = await recorder.write_entity(chunks(size))
    assert written.entity is not None
    await recorder.close()
