"""A stop at every single system call of every change: before the call, and after it.

From the chosen call on nothing reaches the disk any more, as if the process had been killed
there. Then a new store opens what is left.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from services.kit.clock import ManualClock
from services.kit.errors import FailedPrecondition, NotFound
from services.kit.ids import UploadName
from services.recorder.commits import Commits, SmallEntity
from services.recorder.domain.claim import Claim, Claimant
from services.recorder.domain.erasure import with_erased
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.domain.vocabulary import RunState
from services.recorder.ports import Contents
from services.recorder.store.disk import DiskStore
from services.recorder.verify import verify_run
from tests.unit.recorder.test_run import NOW, RUN_ID, draft, new_run

CALLS = ("open", "write", "fsync", "rename", "unlink", "mkdir", "rmdir", "ftruncate")
MOST_CALLS = 60


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Kill:
    """Where it happened, if it did."""

    happened: bool = False


@contextmanager
def killed_at(patch: pytest.MonkeyPatch, number: int, *, after: bool) -> Iterator[Kill]:
    """Stop at the number-th call; from then on no call reaches the disk."""
    kill = Kill()
    count = 0

    def guard(real: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if kill.happened:
                raise Killed
            count += 1
            if count == number:
                kill.happened = True
                if after:
                    result = real(*args, **kwargs)
                    if real.__name__ == "open":
                        os.close(result)
                raise Killed
            return real(*args, **kwargs)

        return guarded

    with patch.context() as inner, suppress(Killed):
        for name in CALLS:
            inner.setattr(os, name, guard(getattr(os, name)))
        yield kill


def sweep(
    patch: pytest.MonkeyPatch,
    tmp_path: Path,
    prepare: Callable[[DiskStore], Any],
    change: Callable[[DiskStore, Any], None],
    check: Callable[[DiskStore, Contents, Path, bool], None],
) -> None:
    """Make the change again and again, stopped one call later each time, until it gets through."""
    for after in (False, True):
        for number in range(1, MOST_CALLS):
            root = tmp_path / f"{after}-{number}"
            store = DiskStore(root)
            store.open()
            given = prepare(store)
            with killed_at(patch, number, after=after) as kill:
                change(store, given)
            store.close()  # the kernel closes and unlocks; nothing is written
            again = DiskStore(root)
            check(again, again.open(), root, not kill.happened)
            again.close()
            if not kill.happened:
                assert number > 3, "there was something to stop"
                break
        else:
            pytest.fail("the change never got through")


def record_entity(store: DiskStore, run: Run, upload_id: str, data: bytes) -> Run:
    """The whole protocol of one entity, as the recorder goes through it."""
    record = UploadRecord(UploadName(RUN_ID, upload_id), draft(), NOW)
    opened = store.begin_upload(record)
    for at in range(0, len(data), 3):
        opened.append([data[at : at + 3]])
    entity = run.next_entity(
        record.draft,
        upload_id,
        media_type="text/plain",
        size_bytes=opened.content.size_bytes,
        sha256=opened.content.sha256,
        now=NOW,
    )
    changed = run.with_entity(entity)
    store.commit(replace(record, intent=entity), opened, changed)
    return changed


def add_entity(store: DiskStore, run: Run, upload_id: str, data: bytes) -> Run:
    """The protocol of an entity that comes in one call."""
    small = SmallEntity(upload_id, draft(), data)
    return Commits(store, ManualClock()).record(run, [small])


def some_entities() -> list[SmallEntity]:
    return [SmallEntity(f"small-{n}", draft(), b"entity %d" % n) for n in range(3)]


def with_one_entity(store: DiskStore) -> Run:
    run = new_run()
    store.create_run(run)
    return record_entity(store, run, "a", b"first")


def is_whole(root: Path, run: Run) -> bool:
    folder = root / RUN_ID.value
    digests = [
        hashlib.sha256((folder / one.filename).read_bytes()).hexdigest() for one in run.entities
    ]
    return digests == [one.sha256 for one in run.entities] and verify_run(folder) == []


def test_an_entity_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(store: DiskStore, run: Run) -> None:
        record_entity(store, run, "b", b"second")

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        run = store.load_run(RUN_ID)
        assert is_whole(root, run)
        assert [one.upload_id for one in run.entities] in (["a"], ["a", "b"])
        if acknowledged:
            assert len(run.entities) == 2
        if len(run.entities) == 2:
            assert not contents.uploads
            assert not list((root / ".uploads").iterdir())
        else:
            for found in contents.uploads:
                store.discard_upload(found.record.name)
            run = record_entity(store, run, "b", b"second")
        assert is_whole(root, record_entity(store, run, "c", b"third"))

    sweep(monkeypatch, tmp_path, with_one_entity, change, check)


def test_an_entity_of_one_call_is_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(store: DiskStore, run: Run) -> None:
        add_entity(store, run, "b", b"second")

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        run = store.load_run(RUN_ID)
        assert is_whole(root, run)
        assert [one.upload_id for one in run.entities] in (["a"], ["a", "b"])
        if acknowledged:
            assert len(run.entities) == 2
        assert not contents.uploads
        assert not list((root / ".uploads").iterdir())
        assert not list((root / RUN_ID.value).glob("*.tmp"))
        assert is_whole(root, add_entity(store, run, "c", b"third"))

    sweep(monkeypatch, tmp_path, with_one_entity, change, check)


def test_entities_of_one_call_are_all_there_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(store: DiskStore, run: Run) -> None:
        Commits(store, ManualClock()).record(run, some_entities())

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        run = store.load_run(RUN_ID)
        assert is_whole(root, run)
        ids = [one.upload_id for one in some_entities()]
        assert [one.upload_id for one in run.entities] in (["a"], ["a", *ids])
        if acknowledged:
            assert len(run.entities) == 1 + len(ids)
        assert is_whole(root, add_entity(store, run, "c", b"third"))

    sweep(monkeypatch, tmp_path, with_one_entity, change, check)


def test_a_run_is_there_with_its_first_entities_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(store: DiskStore, given: None) -> None:
        Commits(store, ManualClock()).create(new_run(), some_entities())

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        assert not contents.damaged
        assert not [one for one in root.iterdir() if one.name.endswith(".new")]
        try:
            run = store.load_run(RUN_ID)
        except NotFound:
            assert not acknowledged
            run = Commits(store, ManualClock()).create(new_run(), some_entities())
        assert len(run.entities) == len(some_entities())
        assert is_whole(root, run)

    sweep(monkeypatch, tmp_path, lambda store: None, change, check)


def test_an_entity_is_erased_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def erase(store: DiskStore, run: Run) -> None:
        erased = with_erased(run, 1, "SAFETY_BLOCKED", NOW)
        store.save_run(erased, is_end=True)
        store.erase_entity(RUN_ID, erased.entity(1))

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        run = store.load_run(RUN_ID)
        assert verify_run(root / RUN_ID.value) == []
        file = root / RUN_ID.value / run.entities[0].filename
        assert file.exists() is not run.entities[0].is_erased
        if acknowledged:
            assert run.entities[0].is_erased
        if not run.entities[0].is_erased:
            assert is_whole(root, run)
            erase(store, run)
        assert not file.exists()
        add_entity(store, store.load_run(RUN_ID), "b", b"second")
        assert verify_run(root / RUN_ID.value) == []

    sweep(monkeypatch, tmp_path, with_one_entity, erase, check)


def test_a_run_exists_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(store: DiskStore, given: None) -> None:
        store.create_run(new_run())

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        assert not contents.damaged
        try:
            assert store.load_run(RUN_ID) == new_run()
        except NotFound:
            assert not acknowledged
            store.create_run(new_run())
        assert is_whole(root, store.load_run(RUN_ID))

    sweep(monkeypatch, tmp_path, lambda store: None, change, check)


def test_a_run_is_final_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(store: DiskStore, run: Run) -> None:
        store.save_run(run.finalized(RunState.CANCELLED, None, NOW), is_end=True)

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        run = store.load_run(RUN_ID)
        assert is_whole(root, run)
        assert run.is_final or not acknowledged
        assert len(contents.open_runs) == (0 if run.is_final else 1)

    sweep(monkeypatch, tmp_path, with_one_entity, change, check)


FIRST = Claim(2, Claimant("first", 5000))
SECOND = Claim(3, Claimant("second", 5000))


@pytest.mark.parametrize("before", [None, FIRST])
@pytest.mark.parametrize("wanted", [SECOND, SECOND.given_back(NOW)])
def test_a_run_is_its_old_drivers_or_its_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Claim | None, wanted: Claim
) -> None:
    def prepare(store: DiskStore) -> None:
        with_one_entity(store)
        if before is not None:
            store.save_claim(RUN_ID, before)

    def change(store: DiskStore, given: None) -> None:
        store.save_claim(RUN_ID, wanted)
        store.save_claim(RUN_ID, wanted)  # as it is

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        found = contents.claims.get(RUN_ID)
        assert found == wanted or (found == before and not acknowledged)
        store.save_claim(RUN_ID, Claim(4, Claimant("third", 500)))
        names = [one.name for one in (root / ".claims").iterdir()]
        assert names == [f"{RUN_ID}.4.500.0.third"]

    sweep(monkeypatch, tmp_path, prepare, change, check)


def test_the_claim_of_a_final_run_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(store: DiskStore) -> Run:
        store.save_claim(RUN_ID, FIRST)
        return with_one_entity(store)

    def change(store: DiskStore, run: Run) -> None:
        store.save_run(run.finalized(RunState.CANCELLED, None, NOW), is_end=True)

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        is_final = store.load_run(RUN_ID).is_final
        assert contents.claims == ({} if is_final else {RUN_ID: FIRST})
        assert bool(list((root / ".claims").iterdir())) is not is_final

    sweep(monkeypatch, tmp_path, prepare, change, check)


def test_a_deleted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(store: DiskStore, run: Run) -> None:
        store.delete_run(RUN_ID)

    def check(store: DiskStore, contents: Contents, root: Path, acknowledged: bool) -> None:
        if acknowledged:
            assert not contents.run_ids
        if contents.run_ids:
            assert is_whole(root, store.load_run(RUN_ID))
            store.delete_run(RUN_ID)
        tombstone = root / ".tombstones" / RUN_ID.value
        assert [one for one in root.rglob("*") if one.is_file()] == [tombstone]
        assert [one for one in root.iterdir() if not one.name.startswith(".")] == []
        with pytest.raises(FailedPrecondition):
            store.create_run(new_run())

    sweep(monkeypatch, tmp_path, with_one_entity, change, check)


@pytest.mark.parametrize("cut", [12, 16, 20])
def test_a_recovery_that_is_stopped_itself_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    for number in range(1, MOST_CALLS):
        root = tmp_path / str(number)
        store = DiskStore(root)
        store.open()
        run = with_one_entity(store)
        with killed_at(monkeypatch, cut, after=False):
            record_entity(store, run, "b", b"second")
        store.close()
        with killed_at(monkeypatch, number, after=True) as kill:
            half = DiskStore(root)
            half.open()
            half.close()
        again = DiskStore(root)
        again.open()
        assert is_whole(root, again.load_run(RUN_ID))
        again.close()
        if not kill.happened:
            break
