"""Who has which open run, and which runs nobody has: in memory, ready to be asked at any time.

Every open run is held (its claim is renewed), delayed (given back for later) or free. Asking for
free runs costs what is answered, however many runs there are: time that has passed is settled from
two heaps. Only what `Claiming` made durable gets here.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Generic, TypeVar

from services.kit.clock import Clock
from services.kit.ids import RunId
from services.recorder.domain.claim import Claim, Claimant, fenced
from services.recorder.domain.run import Place, Run
from services.recorder.domain.vocabulary import EntityType

Key = TypeVar("Key", float, datetime)

_CREATORS_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Claimable:
    """An open run that nobody has."""

    run_id: RunId
    user_id: str
    created_at: datetime
    is_begun: bool


class _State(Enum):
    FREE = auto()
    HELD = auto()
    DELAYED = auto()


class _Entry:
    def __init__(self, run: Run) -> None:
        self.user_id = run.user_id
        self.place = run.place
        self.claim: Claim | None = None
        self.state = _State.FREE
        # Monotonic: until when it is held.
        self.until = 0.0
        self.entities = len(run.entities)
        # How many entities there were when its driver got it.
        self.held_from = 0
        # The highest epoch that may be on the disk. The creator's is in the record.
        self.highest = 0 if run.creator is None else _CREATORS_EPOCH


class Claims:
    """All open runs. A `services.recorder.ports.Follower`: final and deleted ones leave."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[RunId, _Entry] = {}
        self._free: list[Place] = []  # oldest first
        self._loads: Counter[str] = Counter()
        self._ends: _Alarms[float] = _Alarms()
        self._delays: _Alarms[datetime] = _Alarms()

    def adopt(self, runs: Iterable[Run], kept: Mapping[RunId, Claim]) -> None:
        """Take in the runs that are open at start; what was held is held for one more ttl."""
        for run in runs:
            entry = self._add(run)
            claim = kept.get(run.run_id)
            if claim is None and run.creator is not None:
                claim = Claim(_CREATORS_EPOCH, run.creator)
            if claim is not None:
                entry.highest = max(entry.highest, claim.epoch)
                if claim.by is not None:
                    self.hold(run.run_id, claim, claim.by)
                    # What came before the restart and what came after it is not told apart.
                    entry.held_from = 0
                else:
                    self.give_back(run.run_id, claim, is_due=_was_just_decided(run))

    def saved(self, run: Run) -> None:
        """A run is new or has changed."""
        if run.is_final:
            self.removed(run.run_id)
            return
        entry = self._entries.get(run.run_id)
        if entry is None:
            self._add(run)
            return
        entry.entities = len(run.entities)
        if entry.state is _State.DELAYED and _was_just_decided(run):
            # Something that it was put off for has come; other questions may be open still.
            self._move(entry, _State.FREE)

    def removed(self, run_id: RunId) -> None:
        """A run is gone, or has nothing to drive any more."""
        entry = self._entries.pop(run_id, None)
        if entry is not None:
            self._leave(entry)

    def claim_of(self, run_id: RunId) -> Claim | None:
        """The last claim of an open run."""
        entry = self._entries.get(run_id)
        return None if entry is None else entry.claim

    def check(self, run: Run, epoch: int) -> None:
        """Raise FailedPrecondition FENCED unless a write under this epoch counts.

        Epoch 0 is of somebody who does not drive the run. A final run is left to those who refuse
        to change it. Called where nothing can come between: under the run's lock.
        """
        if epoch and not run.is_final:
            claim = self.claim_of(run.run_id)
            if claim is None or claim.epoch != epoch:
                raise fenced()

    def wait_seconds(self, run_id: RunId, owner: str) -> float:
        """After which time it may be claimed at the latest; 0 when it may now, or is not known."""
        self._settle()
        entry = self._entries.get(run_id)
        if entry is None or entry.claim is None:
            return 0.0
        match entry.state:
            case _State.HELD if entry.claim.by is None or entry.claim.by.owner != owner:
                return max(entry.until - self._clock.monotonic(), 0.001)
            case _State.DELAYED if entry.claim.not_before is not None:
                return max((entry.claim.not_before - self._clock.now()).total_seconds(), 0.001)
        return 0.0

    def next_claim(self, run_id: RunId, by: Claimant) -> Claim:
        """The claim of this driver: the one it has, or one under an epoch nobody was ever given.

        An epoch is spent by asking: a write that failed may have reached the disk.
        """
        entry = self._entries[run_id]
        claim = entry.claim
        if claim is not None and claim.by is not None and claim.by.owner == by.owner:
            return claim
        entry.highest += 1
        return Claim(entry.highest, by)

    def hold_as_creator(self, run_id: RunId, by: Claimant) -> int:
        """Let the creator have its new run; return the epoch."""
        self.hold(run_id, Claim(_CREATORS_EPOCH, by), by)
        return _CREATORS_EPOCH

    def hold(self, run_id: RunId, claim: Claim, by: Claimant) -> None:
        """A driver has the run from now on, and for as long as it said."""
        entry = self._entries.get(run_id)
        if entry is None:
            return
        if entry.claim != claim:
            entry.held_from = entry.entities
        entry.claim = claim
        entry.highest = max(entry.highest, claim.epoch)
        entry.until = self._clock.monotonic() + by.ttl_seconds
        self._move(entry, _State.HELD)
        self._ends.set(entry.until, run_id)

    def renew(self, run_id: RunId, epoch: int, by: Claimant) -> bool | None:
        """Hold a claim for another ttl; False when it is lost, None when the run is not open."""
        entry = self._entries.get(run_id)
        if entry is None:
            return None
        claim = entry.claim
        if claim is None or claim.by is None:
            return False
        if (claim.by.owner, claim.epoch) != (by.owner, epoch):
            return False
        self.hold(run_id, claim, by)
        return True

    def give_back(self, run_id: RunId, claim: Claim, *, is_due: bool = False) -> None:
        """Nobody has the run from now on; it is free once its delay is over, or at once."""
        entry = self._entries.get(run_id)
        if entry is None:
            return
        entry.claim = claim
        if is_due or claim.not_before is None or claim.not_before <= self._clock.now():
            self._move(entry, _State.FREE)
        else:
            self._move(entry, _State.DELAYED)
            self._delays.set(claim.not_before, run_id)

    def decided_meanwhile(self, run: Run) -> bool:
        """Whether a question was decided while the run was held: its driver may not know.

        Then it is to be driven once more, whatever other questions are open.
        """
        entry = self._entries.get(run.run_id)
        if entry is None:
            return False
        return any(one.type is EntityType.DECISION for one in run.entities[entry.held_from :])

    def claimable(self, most: int) -> tuple[Sequence[Claimable], int, Sequence[tuple[str, int]]]:
        """Return up to so many free runs, oldest first; how many there are; held runs by person."""
        self._settle()
        found = []
        for place in self._free[:most]:
            entry = self._entries[place.run_id]
            found.append(
                Claimable(
                    place.run_id, entry.user_id, place.created_at, is_begun=entry.claim is not None
                )
            )
        return found, len(self._free), sorted(self._loads.items())

    def _add(self, run: Run) -> _Entry:
        entry = self._entries[run.run_id] = _Entry(run)
        insort(self._free, entry.place)
        return entry

    def _settle(self) -> None:
        """Let time that has passed count."""
        monotonic = self._clock.monotonic()
        for run_id in self._ends.due(monotonic):
            entry = self._entries.get(run_id)
            if entry is None or entry.state is not _State.HELD:
                continue
            if entry.until <= monotonic:
                self._move(entry, _State.FREE)
            else:  # it was renewed since
                self._ends.set(entry.until, run_id)
        now = self._clock.now()
        for run_id in self._delays.due(now):
            entry = self._entries.get(run_id)
            if entry is None or entry.state is not _State.DELAYED or entry.claim is None:
                continue
            if entry.claim.not_before is None or entry.claim.not_before <= now:
                self._move(entry, _State.FREE)
            else:
                self._delays.set(entry.claim.not_before, run_id)

    def _move(self, entry: _Entry, state: _State) -> None:
        if entry.state is state:
            return
        self._leave(entry)
        entry.state = state
        match state:
            case _State.FREE:
                insort(self._free, entry.place)
            case _State.HELD:
                self._loads[entry.user_id] += 1

    def _leave(self, entry: _Entry) -> None:
        match entry.state:
            case _State.FREE:
                del self._free[bisect_left(self._free, entry.place)]
            case _State.HELD:
                self._loads[entry.user_id] -= 1
                if not self._loads[entry.user_id]:
                    del self._loads[entry.user_id]


class _Alarms(Generic[Key]):
    """At most one moment a run when somebody must look at it; it may be too early, never late."""

    def __init__(self) -> None:
        self._heap: list[tuple[Key, RunId]] = []
        self._set: dict[RunId, Key] = {}

    def set(self, when: Key, run_id: RunId) -> None:
        """Look at this moment or before; a later one than is set is set again by who looks."""
        earlier = self._set.get(run_id)
        if earlier is None or when < earlier:
            self._set[run_id] = when
            heapq.heappush(self._heap, (when, run_id))

    def due(self, now: Key) -> list[RunId]:
        """The runs whose moment has come; each is set anew by who needs it."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            when, run_id = heapq.heappop(self._heap)
            if self._set.get(run_id) == when:
                del self._set[run_id]
                found.append(run_id)
        return found


def _was_just_decided(run: Run) -> bool:
    return bool(run.entities) and run.entities[-1].type is EntityType.DECISION
