"""Any order of changes, crashes, full disks and power cuts: what was promised is there."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from services.recorder.domain.vocabulary import RunState
from tests.faults.power.calls import Fault
from tests.faults.power.machine import RecorderOverADiskThatForgets
from tests.faults.power.promises import KnownRun


def take_over(machine: RecorderOverADiskThatForgets, run: KnownRun, fault: Fault) -> None:
    machine.claim(run, "one", False, None, "stays")
    machine.claim(run, "other", True, fault, "stays")


def release(machine: RecorderOverADiskThatForgets, run: KnownRun, fault: Fault) -> None:
    machine.claim(run, "one", False, None, "stays")
    machine.release(run, 60, fault, "stays")


def end_claimed(machine: RecorderOverADiskThatForgets, run: KnownRun, fault: Fault) -> None:
    machine.claim(run, "one", False, None, "stays")
    machine.finalize(run, RunState.CANCELLED, fault, "stays")


CHANGES: dict[str, Callable[[RecorderOverADiskThatForgets, KnownRun, Fault], Any]] = {
    "create": lambda machine, run, fault: machine.create("one", fault, "stays"),
    "record": lambda machine, run, fault: machine.record(run, "b", 9, fault, "stays"),
    "begin": lambda machine, run, fault: machine.write(run, "b", 20, 1, fault, "stays"),
    "go on": lambda machine, run, fault: machine.write(run, "a", 20, 1, fault, "stays"),
    "finish": lambda machine, run, fault: machine.write(run, "a", 20, 5, fault, "stays"),
    "erase": lambda machine, run, fault: machine.erase(run, "c", fault, "stays"),
    "finalize": lambda machine, run, fault: machine.finalize(
        run, RunState.CANCELLED, fault, "stays"
    ),
    "claim": lambda machine, run, fault: machine.claim(run, "one", False, fault, "stays"),
    "take over": lambda machine, run, fault: take_over(machine, run, fault),
    "release": lambda machine, run, fault: release(machine, run, fault),
    "end what is claimed": lambda machine, run, fault: end_claimed(machine, run, fault),
    "delete": lambda machine, run, fault: machine.delete(run, fault, "stays"),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("number", [0, errno.EIO, errno.ENOSPC])
def test_a_power_cut_soon_after_any_fault_takes_back_nothing_that_was_said(
    what: str, number: int, is_after: bool
) -> None:
    for call in range(1, 40):
        machine = RecorderOverADiskThatForgets()
        try:
            run = machine.create(None, None, "stays").values[0]
            machine.record(run, "c", 9, None, "stays")
            machine.write(run, "a", 20, 1, None, "stays")
            CHANGES[what](machine, run, Fault(call, number, is_after))
            has_failed = machine.has_failed
            machine.everything_said_is_true()
            # What can be read now was said, too.
            machine.end("goes" if call % 2 else call)
            machine.everything_said_is_true()
        finally:
            machine.teardown()
        if not has_failed:
            break
    assert not has_failed, "every call had its turn"
    assert call > 2


def test_an_end_that_finds_the_disk_full_is_written_anew_and_survives_a_power_cut() -> None:
    ended = []
    for call in range(1, 40):
        machine = RecorderOverADiskThatForgets()
        try:
            run = machine.create(None, None, "stays").values[0]
            machine.finalize(run, RunState.CANCELLED, Fault(call, errno.ENOSPC), "stays")
            has_failed = machine.has_failed
            machine.end("goes")
            machine.everything_said_is_true()
        finally:
            machine.teardown()
        if not has_failed:
            break
        ended.append(run.end is not None)
    # Opening, writing, syncing, renaming; a name that could not be synced says that it is unsure.
    assert ended[:5] == [True, True, True, True, False]


def test_a_mark_that_was_in_doubt_is_made_again() -> None:
    for is_one, power in itertools.product((True, False), ("goes", "stays")):
        machine = RecorderOverADiskThatForgets()
        try:
            run = machine.create(None, None, "stays").values[0]
            machine.mark(run, is_one, None, "stays")
            # Removed or made, and not synced: nobody knows.
            machine.mark(run, not is_one, Fault(2, errno.EIO, is_after=True), "stays")
            machine.mark(run, is_one, None, "stays")
            machine.end(power)
            machine.everything_said_is_true()
        finally:
            machine.teardown()


def search(examples: int, steps: int) -> None:
    """Let Hypothesis look for an order of things that breaks a promise."""
    run_state_machine_as_test(
        RecorderOverADiskThatForgets,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_no_order_of_changes_crashes_and_power_cuts_breaks_a_promise() -> None:
    search(examples=40, steps=20)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_long_order_of_changes_crashes_and_power_cuts_breaks_a_promise() -> None:
    search(examples=3000, steps=50)
