"""A recorder over a disk that forgets, to be asked for anything in any order.

The real recorder and the real store run over a disk in memory (`tests.faults.power.disk`).
Whatever the recorder said, in answers and in what can be read, has to be true ever after.
"""

from __future__ import annotations

import asyncio
import errno
import random
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.clock import ManualClock
from services.kit.errors import (
    ArtlabError,
    FailedPrecondition,
    Internal,
    NotFound,
    ResourceExhausted,
)
from services.kit.ids import EntityName, RunId, UploadName
from services.recorder.claiming import Answer
from services.recorder.domain.claim import MAX_TTL_MS, Claimant
from services.recorder.domain.entity import Entity
from services.recorder.domain.room import SPARE_FILES
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import Audience, RunState
from services.recorder.index.memory import MemoryIndex
from services.recorder.parse import parse_draft, parse_plan
from services.recorder.recorder import Recorder
from services.recorder.store.disk import DiskStore
from services.recorder.verify import verify_run
from services.recorder.writing import Written
from tests.faults.power.calls import DiskCalls, Fault, Killed, store_on
from tests.faults.power.disk import LossyDisk
from tests.faults.power.promises import PIECE, KnownRun, KnownUpload, chunks
from tests.integration.recorder.harness import LIMITS, entity, plan

T = TypeVar("T")
# These would mean that bytes were mixed up: everything that is sent here is right.
NEVER = {"DIGEST_MISMATCH", "SIZE_MISMATCH", "ENTITY_CORRUPT", "METADATA_CORRUPT"}
UPLOADS = ["a", "b", "c"]
OWNERS = ["one", "other"]
PLAN = parse_plan(pb.CreateRunRequest(run=plan()))


faults = st.one_of(
    st.none(),
    st.none(),
    st.builds(
        Fault,
        st.integers(1, 24),
        st.sampled_from([0, 0, 0, errno.EIO, errno.ENOSPC]),
        st.booleans(),
    ),
)
powers = st.one_of(st.just("stays"), st.just("goes"), st.integers(0, 2**32))


class RecorderOverADiskThatForgets(RuleBasedStateMachine):
    """See the module."""

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._root = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._loop = self._stack.enter_context(asyncio.Runner())
        self._disk = LossyDisk()
        self._known: list[KnownRun] = []
        self._start()

    def teardown(self) -> None:
        try:
            self._stop()
        finally:
            self._stack.close()

    # The process

    def _start(self) -> None:
        self._calls = DiskCalls(self._disk, self._root)
        self._process = self._stack.enter_context(ExitStack())
        self._process.enter_context(store_on(self._calls))
        store = DiskStore(self._root, reserve_bytes=SPARE_FILES)
        self._recorder = Recorder(store, MemoryIndex(), ManualClock(), LIMITS, 600.0)
        self._loop.run(self._recorder.open())

    def _stop(self) -> None:
        self._loop.run(self._recorder.close())
        self._process.close()
        # The kernel closes for the dead; everybody else has to.
        assert self._calls.is_dead or self._calls.open_descriptors == 0

    def _end(self, power: str | int) -> None:
        """The process is killed, and perhaps the power goes with it; then it is started again."""
        self._calls.is_dead = True
        self._stop()
        if power != "stays":
            chance = None if power == "goes" else random.Random(power)
            self._disk = self._disk.after_power_loss(chance)
        self._start()
        for run in self._known:
            # Nothing is under way any more; what is not there now may not come back.
            run.is_deleted |= run.may_be_deleted and not self._exists(run)
            run.may_be_created &= self._exists(run)

    def _try(
        self, work: Coroutine[Any, Any, T], fault: Fault | None, power: str | int
    ) -> T | ArtlabError | None:
        """The answer, the refusal, or None when the process was killed before there was one."""
        self._calls.arm(fault)
        answer: T | ArtlabError | None = None
        try:
            answer = self._loop.run(work)
        except ArtlabError as error:
            answer = error
        except Killed:
            pass
        assert not isinstance(answer, ArtlabError) or answer.reason not in NEVER
        self.has_failed = self._calls.has_failed
        self._calls.arm(None)
        if self._calls.is_dead:
            self._after = power
        return answer

    def _settle(self) -> None:
        """Once what was said is noted, the process that is dead already is started again."""
        if self._calls.is_dead:
            self._end(self._after)
        else:
            # Otherwise nothing new would be written after an end that found the disk full.
            self._loop.run(self._recorder.sweep())

    # What may be asked of it

    @initialize(target=runs)
    def first_run(self) -> Any:
        return self.create(None, None, "stays")

    @rule(target=runs, by=st.sampled_from([None, *OWNERS]), fault=faults, power=powers)
    def create(self, by: str | None, fault: Fault | None, power: str | int) -> Any:
        run = KnownRun(RunId(f"00000000-0000-4000-8000-{len(self._known):012}"))
        self._known.append(run)
        answer = self._try(self._recorder.create_run(run.run_id, PLAN, _claimant(by)), fault, power)
        run.is_created = isinstance(answer, tuple)
        self._note_driver(run, by, answer)
        run.may_be_created = answer is None or isinstance(answer, Internal)
        self._settle()
        return multiple(run)

    @rule(run=runs, by=st.sampled_from([None, *OWNERS]), fault=faults, power=powers)
    def create_again(
        self, run: KnownRun, by: str | None, fault: Fault | None, power: str | int
    ) -> None:
        if run.may_be_deleted or run.is_deleted:
            return
        answer = self._try(self._recorder.create_run(run.run_id, PLAN, _claimant(by)), fault, power)
        run.is_created |= isinstance(answer, tuple)
        self._note_driver(run, by, answer)
        run.may_be_created |= answer is None or isinstance(answer, Internal)
        self._settle()

    @rule(
        run=runs,
        upload=st.sampled_from(UPLOADS),
        size=st.integers(1, 5 * PIECE),
        fault=faults,
        power=powers,
    )
    def record(
        self, run: KnownRun, upload: str, size: int, fault: Fault | None, power: str | int
    ) -> None:
        known = self._upload(run, upload, size)
        name = UploadName(run.run_id, upload)
        answer = self._try(
            self._recorder.record_entity(name, parse_draft(entity("interception")), known.data),
            fault,
            power,
        )
        self._note(known, answer)
        self._settle()

    @rule(
        run=runs,
        upload=st.sampled_from(UPLOADS),
        size=st.integers(1, 5 * PIECE),
        pieces=st.integers(0, 5),
        fault=faults,
        power=powers,
    )
    def write(
        self,
        run: KnownRun,
        upload: str,
        size: int,
        pieces: int,
        fault: Fault | None,
        power: str | int,
    ) -> None:
        known = self._upload(run, upload, size)
        name = UploadName(run.run_id, upload)
        start = self._committed(name)
        if start is None:  # an entity already, or nothing there can be written
            return
        assert start >= known.committed
        known.committed = start  # told now, so it has to stay
        ends = min(len(known.data), start + pieces * PIECE)
        answer = self._try(
            self._recorder.write_entity(chunks(name, known.data, start, ends)), fault, power
        )
        if isinstance(answer, Written) and answer.entity is None:
            assert answer.committed_size == ends
            known.committed = ends
        elif ends == len(known.data):
            self._note(known, answer.entity if isinstance(answer, Written) else answer)
        elif isinstance(answer, Internal):
            known.committed = 0
        if isinstance(answer, ResourceExhausted):
            # Bytes whose sync failed for want of room are dropped; all others stay.
            known.committed = self._committed(name) or 0
        self._settle()

    @rule(run=runs, upload=st.sampled_from(UPLOADS), fault=faults, power=powers)
    def delete_upload(
        self, run: KnownRun, upload: str, fault: Fault | None, power: str | int
    ) -> None:
        known = self._upload(run, upload, 1)
        if known.said is None:
            known.committed = 0
        self._try(self._recorder.delete_upload(UploadName(run.run_id, upload)), fault, power)
        self._settle()

    @rule(run=runs, upload=st.sampled_from(UPLOADS), fault=faults, power=powers)
    def erase(self, run: KnownRun, upload: str, fault: Fault | None, power: str | int) -> None:
        known = self._upload(run, upload, 1)
        if known.said is None:
            return
        name = EntityName(run.run_id, known.said.sequence)
        answer = self._try(self._recorder.erase_entity(name, "SAFETY_BLOCKED"), fault, power)
        known.may_be_erased |= answer is None or isinstance(answer, Entity | Internal)
        known.is_gone |= isinstance(answer, Entity)
        self._settle()

    @rule(
        run=runs,
        state=st.sampled_from([RunState.CANCELLED, RunState.SUCCEEDED]),
        fault=faults,
        power=powers,
    )
    def finalize(
        self, run: KnownRun, state: RunState, fault: Fault | None, power: str | int
    ) -> None:
        answer = self._try(self._recorder.finalize_run(run.run_id, state, None), fault, power)
        if isinstance(answer, Run):
            assert run.end in (None, answer)
            run.end = answer
        run.may_be_final |= answer is None or isinstance(answer, Internal)
        if run.end or run.may_be_final:
            self._forget_uploads(run)
        self._settle()

    @rule(run=runs, fault=faults, power=powers)
    def delete(self, run: KnownRun, fault: Fault | None, power: str | int) -> None:
        answer = self._try(self._recorder.delete_run(run.run_id), fault, power)
        run.may_be_deleted = True
        # None is what is answered, too: a killed process is told apart by its death.
        run.is_deleted |= answer is None and not self._calls.is_dead
        if run.is_deleted and not self._calls.is_dead:
            # What a faulty disk could not remove is tried again by itself.
            self._loop.run(self._recorder.sweep())
        self._forget_uploads(run)
        self._settle()

    @rule(run=runs, wanted=st.booleans(), fault=faults, power=powers)
    def mark(self, run: KnownRun, wanted: bool, fault: Fault | None, power: str | int) -> None:
        favourites = self._recorder.care.favourites
        answer = self._try(favourites.set(run.run_id, wanted), fault, power)
        if isinstance(answer, bool):
            run.is_favourite = wanted
        elif not isinstance(answer, NotFound) and run.is_favourite != wanted:
            run.is_favourite = None
        self._settle()

    @rule(
        run=runs,
        owner=st.sampled_from(OWNERS),
        force=st.booleans(),
        fault=faults,
        power=powers,
    )
    def claim(
        self, run: KnownRun, owner: str, force: bool, fault: Fault | None, power: str | int
    ) -> None:
        work = self._recorder.claiming.claim(run.run_id, Claimant(owner, MAX_TTL_MS), force=force)
        answer = self._try(work, fault, power)
        if isinstance(answer, Answer):
            run.drives(owner, answer.epoch)
        run.may_be_claimed |= answer is None or isinstance(answer, Internal)
        self._settle()

    @rule(run=runs, delay=st.sampled_from([0, 60]), fault=faults, power=powers)
    def release(self, run: KnownRun, delay: int, fault: Fault | None, power: str | int) -> None:
        owner = run.drivers.get(run.epoch, OWNERS[0])
        work = self._recorder.claiming.release(
            run.run_id, owner, run.epoch, timedelta(seconds=delay)
        )
        self._try(work, fault, power)
        self._settle()

    @rule(power=powers)
    def end(self, power: str | int) -> None:
        self._end(power)

    @rule()
    def stop(self) -> None:
        self._stop()
        self._start()

    # What must be true whenever it runs

    @invariant()
    def everything_said_is_true(self) -> None:
        for known in self._known:
            try:
                run = self._loop.run(self._recorder.get_run(known.run_id))
            except NotFound:
                assert known.is_deleted or known.may_be_deleted or not known.is_created
                continue
            assert not known.is_deleted, "deletion deletes"
            assert known.is_created or known.may_be_created
            known.is_created = True
            self._check_run(run, known)
        for path, content in self._disk.walk():
            for known in self._known:
                if known.is_deleted and str(known.run_id) in str(path):
                    assert path.parent.name == ".tombstones", path
                    assert not content, "a tombstone tells nothing"

    def _check_claim(self, run: Run, known: KnownRun) -> None:
        claim = self._recorder.claiming.claim_of(run.run_id)
        if run.is_final:
            assert claim is None
            return
        epoch = 0 if claim is None else claim.epoch
        assert epoch >= known.epoch, "no driver is forgotten"
        assert epoch == known.epoch or known.may_be_claimed
        if claim is not None and claim.by is not None:
            assert known.drivers.setdefault(epoch, claim.by.owner) == claim.by.owner

    def _check_run(self, run: Run, known: KnownRun) -> None:
        self._check_claim(run, known)
        assert [one.sequence for one in run.entities] == list(range(1, len(run.entities) + 1))
        if run.is_final:
            assert known.end is not None or known.may_be_final
        if known.end is not None or run.is_final:
            assert known.end in (None, run), "what is final never changes"
            known.end = run
            self._forget_uploads(known)
        is_favourite = self._recorder.care.favourites.has(known.run_id)
        assert known.is_favourite in (None, is_favourite), "a mark is as it was answered"
        present = {one.upload_id: one for one in run.entities}
        assert len(present) == len(run.entities), "nothing twice"
        for upload, one in present.items():
            sent = known.uploads[upload]
            assert sent.said is not None or sent.may_be_there, "failed is absent"
            bare = replace(one, erased_at=None)
            assert sent.said in (None, bare)
            sent.said = bare  # whoever reads it has been told
            self._check_bytes(EntityName(run.run_id, one.sequence), one, sent)
        for upload, sent in known.uploads.items():
            assert sent.said is None or upload in present, "acknowledged is durable"
            if sent.said is None and sent.committed and not known.may_be_deleted:
                size, _ = self._loop.run(self._recorder.get_upload(UploadName(run.run_id, upload)))
                assert size >= sent.committed, "what was committed of an upload stays"

    def _check_bytes(self, name: EntityName, entity: Entity, sent: KnownUpload) -> None:
        if not entity.is_erased:
            assert not sent.is_erased, "erased is erased"
            assert self._loop.run(self._read(name)) == sent.data, "whole or absent"
            return
        assert sent.may_be_erased
        with pytest.raises(FailedPrecondition, match="ENTITY_ERASED"):
            self._loop.run(self._read(name))
        sent.is_erased = True  # whoever reads it has been told
        if sent.is_gone:  # otherwise a faulty disk may hold them until it is asked again
            file = Path(str(name.run), entity.filename)
            assert file not in [path for path, _ in self._disk.walk()]

    def _exists(self, known: KnownRun) -> bool:
        try:
            self._loop.run(self._recorder.get_run(known.run_id))
        except NotFound:
            return False
        assert verify_run(self._root / str(known.run_id)) == []
        return True

    # Notes

    def _note_driver(
        self, run: KnownRun, by: str | None, answer: tuple[Run, int] | ArtlabError | None
    ) -> None:
        if by is not None:
            if isinstance(answer, tuple):
                run.drives(by, answer[1])
            run.may_be_claimed |= answer is None or isinstance(answer, Internal)

    def _upload(self, run: KnownRun, upload: str, size: int) -> KnownUpload:
        data = (f"{run.run_id} {upload} ".encode() * size)[-size:]
        return run.uploads.setdefault(upload, KnownUpload(data))

    def _note(self, known: KnownUpload, answer: Entity | ArtlabError | None) -> None:
        if isinstance(answer, Entity):
            bare = replace(answer, erased_at=None)
            assert known.said in (None, bare)
            known.said = bare
        known.may_be_there |= answer is None or isinstance(answer, Internal)
        if isinstance(answer, Internal):
            known.committed = 0

    def _forget_uploads(self, run: KnownRun) -> None:
        for known in run.uploads.values():
            known.committed = 0

    def _committed(self, name: UploadName) -> int | None:
        try:
            size, done = self._loop.run(self._recorder.get_upload(name))
        except NotFound as error:
            return 0 if error.reason == "UPLOAD_NOT_FOUND" else None
        return size if done is None else None

    async def _read(self, name: EntityName) -> bytes:
        parts = self._recorder.read_entity(name, 0, 0, Audience.RESEARCH)
        return b"".join([part async for part in parts])


def _claimant(owner: str | None) -> Claimant | None:
    return None if owner is None else Claimant(owner, MAX_TTL_MS)
