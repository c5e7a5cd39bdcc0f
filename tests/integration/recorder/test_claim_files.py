"""The files of claims: what is not ours stays, what is of nobody goes, the newest counts."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.errors import Internal
from services.kit.ids import RunId
from services.recorder.domain.claim import MAX_EPOCH, Claim, Claimant
from services.recorder.store.claims import name_of, parse_name
from services.recorder.store.disk import DiskStore
from tests.integration.recorder.harness import World
from tests.integration.recorder.test_claims import claimed, created, epoch_of
from tests.unit.recorder.test_run import RUN_ID, new_run

OTHER = RunId("00000000-0000-4000-8000-000000000001")
BY = Claimant("driver-1", 5000)


@pytest.mark.parametrize(
    "claim",
    [
        Claim(1, BY),
        Claim(MAX_EPOCH, Claimant("a" * 64, 60_000)),
        Claim(7, Claimant("-", 500)),
        Claim(2, None),
        Claim(2, None, datetime(2026, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC)),
    ],
)
def test_a_name_says_everything(claim: Claim) -> None:
    name = name_of(RUN_ID, claim)
    assert len(name) < 255
    assert parse_name(name) == (RUN_ID, claim)


@pytest.mark.parametrize(
    "name",
    [
        f"{RUN_ID}",
        f"{RUN_ID}.1.5000.0",
        f"{RUN_ID}.0.5000.0.a",
        f"{RUN_ID}.-1.5000.0.a",
        f"{RUN_ID}.1.5000.0.A",
        f"{RUN_ID}.1.5000.0.a\n",
        f"{RUN_ID}.1.5000.0.{'a' * 65}",
        f"{RUN_ID}.1.499.0.a",
        f"{RUN_ID}.1.60001.0.a",
        f"{'-' * 36}.1.5000.0.a",
        f"{RUN_ID}.\u0661.5000.0.a",
        "notes.txt",
    ],
)
def test_other_names_say_nothing(name: str) -> None:
    assert parse_name(name) is None


def store_with(root: Path, *names: str) -> tuple[DiskStore, dict[RunId, Claim]]:
    """A store whose one run is open, opened again over these claims."""
    store = DiskStore(root)
    store.open()
    store.create_run(new_run())
    store.close()
    for name in names:
        (root / ".claims" / name).touch()
    store = DiskStore(root)
    return store, dict(store.open().claims)


def files(root: Path) -> set[str]:
    return {one.name for one in (root / ".claims").iterdir()}


def test_of_two_claims_that_a_power_loss_left_the_newest_counts(tmp_path: Path) -> None:
    old, new = Claim(9, BY), Claim(10, Claimant("driver-2", 5000))
    store, claims = store_with(tmp_path, name_of(RUN_ID, new), name_of(RUN_ID, old))
    assert claims == {RUN_ID: new}
    assert files(tmp_path) == {name_of(RUN_ID, new)}
    store.close()


def test_what_was_given_back_is_given_back_when_both_names_are_left(tmp_path: Path) -> None:
    held = Claim(9, BY)
    back = held.given_back(None)
    store, claims = store_with(tmp_path, name_of(RUN_ID, held), name_of(RUN_ID, back))
    assert claims == {RUN_ID: back}
    assert files(tmp_path) == {name_of(RUN_ID, back)}
    store.close()


def test_the_claim_of_no_run_goes_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    mine = name_of(RUN_ID, Claim(2, BY))
    store, claims = store_with(tmp_path, mine, name_of(OTHER, Claim(2, BY)), "notes.txt")
    assert claims == {RUN_ID: Claim(2, BY)}
    assert files(tmp_path) == {mine, "notes.txt"}
    store.close()


async def test_the_claim_of_a_damaged_run_is_kept_for_when_it_is_repaired(disk: World) -> None:
    run, _ = await created(disk, "first")
    assert await epoch_of(disk, run, "second", force=True) == 2
    await disk.stop()
    file = disk.folder(run) / "metadata.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    await disk.start()
    assert len(files(disk.root)) == 1
    await disk.stop()
    file.write_bytes(whole)
    await disk.start()
    assert not (await claimed(disk, run, "third")).claimed
    assert await epoch_of(disk, run, "third", force=True) == 3


async def test_a_claim_that_could_not_be_synced_is_refused_and_its_epoch_spent(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, epoch = await created(disk, "first")
    assert epoch == 1
    real = os.fsync

    def fsync(fd: int) -> Any:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".claims"):
            raise OSError(errno.EIO, "the disk is gone")
        return real(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(Internal) as caught:
            await claimed(disk, run, "second", force=True)
        assert caught.value.reason == "STORAGE_ERROR"
    # Who had it, has it; and whoever comes next is told apart from whoever got no answer.
    assert await epoch_of(disk, run, "first") == 1
    assert await epoch_of(disk, run, "third", force=True) == 3
    await disk.restart()
    assert await epoch_of(disk, run, "third") == 3


async def test_a_run_that_its_creator_drives_to_its_end_needs_no_claim_file(disk: World) -> None:
    run, epoch = await created(disk, "first")
    await disk.record(f"{run}/uploads/a", b"Eine Blume")
    assert await epoch_of(disk, run, "first") == epoch
    assert files(disk.root) == set()


async def test_a_deleted_run_leaves_no_claim(disk: World) -> None:
    run, _ = await created(disk, "first")
    await epoch_of(disk, run, "second", force=True)
    assert len(files(disk.root)) == 1
    await disk.call("DeleteRun", pb.DeleteRunRequest(name=run))
    assert files(disk.root) == set()
