"""Who has which run, compared with a model that looks at every run each time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.clock import ManualClock
from services.kit.errors import FailedPrecondition
from services.kit.ids import RunId
from services.recorder.claims import Claims
from services.recorder.domain.claim import Claim, Claimant
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import RunState
from tests.unit.recorder.test_run import NOW, new_run

RUNS = 4
OWNERS = ["first", "second"]
PEOPLE = ["anna", "ben"]


def run_of(number: int) -> Run:
    return replace(
        new_run(),
        run_id=RunId(f"00000000-0000-4000-8000-{number:012}"),
        # The other way round than their ids.
        created_at=NOW - timedelta(seconds=number),
        user_id=PEOPLE[number % len(PEOPLE)],
    )


@dataclass
class Known:
    """What is true of one open run."""

    run: Run
    claim: Claim | None = None
    until: float = 0.0

    def is_free(self, clock: ManualClock) -> bool:
        if self.claim is None:
            return True
        if self.claim.by is not None:
            return self.until <= clock.monotonic()
        return self.claim.not_before is None or self.claim.not_before <= clock.now()

    def is_held(self, clock: ManualClock) -> bool:
        return self.claim is not None and self.claim.by is not None and not self.is_free(clock)


@dataclass
class Model:
    """Claims, and the same in a way that is too simple to be wrong."""

    clock: ManualClock = field(default_factory=ManualClock)
    known: dict[int, Known] = field(default_factory=dict)
    spent: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.claims = Claims(self.clock)

    def apply(self, what: str, number: int, owner: str, amount: int) -> None:
        run_id = run_of(number).run_id
        known = self.known.get(number)
        by = Claimant(owner, 1000 * (1 + amount))
        match what:
            case "create" if known is None and number not in self.spent:
                self.known[number] = Known(run_of(number))
                self.spent[number] = 0
                self.claims.saved(run_of(number))
            case "claim" if known is not None:
                claim = self.claims.next_claim(run_id, by)
                is_same = known.claim is not None and known.claim.by is not None
                if is_same and known.claim is not None and known.claim.by is not None:
                    is_same = known.claim.by.owner == owner
                if is_same:
                    assert claim == known.claim
                else:
                    self.spent[number] += 1
                    assert claim == Claim(self.spent[number], by)
                if amount % 3 == 2:
                    return  # it could not be made durable
                self.claims.hold(run_id, claim, by)
                known.claim, known.until = claim, self.clock.monotonic() + by.ttl_seconds
            case "renew":
                epoch = 0 if known is None or known.claim is None else known.claim.epoch
                held = self.claims.renew(run_id, epoch, by)
                if known is None:
                    assert held is None
                elif known.claim is None or known.claim.by is None:
                    assert held is False
                else:
                    assert held is (known.claim.by.owner == owner)
                    if held:
                        known.until = self.clock.monotonic() + by.ttl_seconds
            case "give back" if known is not None and known.claim is not None:
                later: datetime | None = None
                if amount:
                    later = self.clock.now() + timedelta(seconds=amount)
                known.claim = known.claim.given_back(later)
                self.claims.give_back(run_id, known.claim)
            case "end" if known is not None:
                del self.known[number]
                self.claims.saved(known.run.finalized(RunState.CANCELLED, None, NOW))
            case "delete" if known is not None:
                del self.known[number]
                self.claims.removed(run_id)
            case "wait":
                self.clock.advance(amount)

    def check(self) -> None:
        free = sorted(
            (one for one in self.known.values() if one.is_free(self.clock)),
            key=lambda one: one.run.place,
        )
        loads: dict[str, int] = {}
        for one in self.known.values():
            if one.is_held(self.clock):
                loads[one.run.user_id] = loads.get(one.run.user_id, 0) + 1
        runs, total, told = self.claims.claimable(RUNS)
        assert [one.run_id for one in runs] == [one.run.run_id for one in free]
        assert [one.is_begun for one in runs] == [one.claim is not None for one in free]
        assert total == len(free)
        assert dict(told) == loads
        for one in self.known.values():
            wait = self.claims.wait_seconds(one.run.run_id, "third")
            assert (wait == 0) is one.is_free(self.clock)
            if one.claim is None:
                continue
            self.claims.check(one.run, one.claim.epoch)
            self.claims.check(one.run, 0)
            with pytest.raises(FailedPrecondition):
                self.claims.check(one.run, one.claim.epoch + 1)


STEPS = st.tuples(
    st.sampled_from(["create", "claim", "claim", "renew", "give back", "end", "delete", "wait"]),
    st.integers(0, RUNS - 1),
    st.sampled_from(OWNERS),
    st.integers(0, 5),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(STEPS, max_size=40))
def test_every_order_of_claims_is_as_the_simple_model_has_it(
    steps: list[tuple[str, int, str, int]],
) -> None:
    model = Model()
    for number in range(RUNS):
        model.apply("create", number, "first", 0)
    for step in steps:
        model.apply(*step)
        model.check()


def test_a_run_that_is_renewed_for_ever_leaves_nothing_behind() -> None:
    clock = ManualClock()
    claims, by = Claims(clock), Claimant("first", 5000)
    run = run_of(0)
    claims.saved(run)
    claims.hold(run.run_id, Claim(1, by), by)
    for _ in range(10_000):
        clock.advance(1)
        assert claims.renew(run.run_id, 1, by)
        claims.claimable(1)
    assert len(claims._ends._heap) <= 2


def test_the_epoch_of_a_creator_that_got_no_answer_is_never_anothers() -> None:
    claims, by = Claims(ManualClock()), Claimant("other", 5000)
    run = replace(run_of(0), creator=Claimant("creator", 5000))
    claims.saved(run)  # settled from the disk after a write in doubt
    assert claims.next_claim(run.run_id, by) == Claim(2, by)
