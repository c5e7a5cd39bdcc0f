"""Progress from events: one fraction, honest and monotonic."""

from __future__ import annotations

from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.media.catalogue import load_output_catalogue
from services.media.comfy.watch import JobWatch
from services.media.domain.pace import Paces
from services.media.domain.workflow import Workflow
from services.media.ports import Preview


class Stopwatch:
    """A monotonic clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def workflow() -> Workflow:
    workflow = load_output_catalogue(CONFIGS).configs["sd35_large"].backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    return workflow


@pytest.fixture
def watch(workflow: Workflow) -> JobWatch:
    return JobWatch(workflow)


def play(watch: JobWatch, clock: Stopwatch, seconds: dict[str, float], steps: int = 4) -> None:
    """A whole job, each node for so long, the sampler in equal steps."""
    watch.see("execution_start", {})
    watch.see("execution_cached", {"nodes": [n for n in NODES if n not in seconds]})
    for node, duration in seconds.items():
        watch.see("executing", {"node": node})
        for step in range(1, steps + 1) if node == "3" else ():
            clock.now += duration / steps
            watch.see("progress", {"node": node, "value": step, "max": steps})
        clock.now += 0 if node == "3" else duration
        watch.see("progress_state", states(**{f"n{node}": (1, 1, "finished")}))
    watch.see("execution_success", {})
    watch.close()


NODES = ("4", "43", "16", "40", "53", "3", "8", "9")


def states(**nodes: tuple[float, float, str]) -> dict[str, Any]:
    return {
        "nodes": {
            key.removeprefix("n"): {"value": value, "max": most, "state": state}
            for key, (value, most, state) in nodes.items()
        }
    }


def test_sampler_steps_are_most_of_the_work(watch: JobWatch) -> None:
    watch.see("progress_state", states(n4=(1, 1, "finished"), n3=(0, 25, "running")))
    before = watch.fraction
    watch.see("progress_state", states(n3=(12.5, 25, "running")))
    half = watch.fraction
    watch.see("progress_state", states(n3=(25, 25, "finished")))
    assert before < 0.1
    assert 0.3 < half < 0.5
    assert 0.65 < watch.fraction < 0.95


def test_all_nodes_done_is_one(watch: JobWatch) -> None:
    watch.see("execution_cached", {"nodes": ["4", "43", "16", "40", "53", "3", "8", "9"]})
    assert watch.fraction == 1.0


def test_the_fraction_never_goes_back(watch: JobWatch) -> None:
    watch.see("progress", {"node": "3", "value": 20, "max": 25})
    high = watch.fraction
    watch.see("progress", {"node": "3", "value": 1, "max": 25})
    assert watch.fraction == high


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("executing", {"node": None}),
        ("execution_success", {}),
        ("execution_error", {}),
        ("execution_interrupted", {}),
    ],
)
def test_an_ending_is_a_hint(watch: JobWatch, kind: str, data: dict[str, Any]) -> None:
    watch.see(kind, data)
    assert watch.ended
    assert watch.changed.is_set()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("executing", {"node": 7}),
        ("executing", {"node": "x" * 10_000}),
        ("execution_cached", {"nodes": None}),
        ("execution_cached", {"nodes": [1, None, {}]}),
        ("progress", {"node": "3", "value": "a", "max": 2}),
        ("progress", {"node": "3", "value": 1, "max": 0}),
        ("progress", {"node": "3", "value": float("nan"), "max": 1}),
        ("progress", {"node": "3", "value": 5, "max": 1}),
        ("progress", {"node": ["3"], "value": 1, "max": 1}),
        ("progress_state", {"nodes": []}),
        ("progress_state", {"nodes": {"3": None}}),
        ("progress_state", {}),
        ("unknown", {}),
    ],
)
def test_nonsense_moves_nothing(watch: JobWatch, kind: str, data: dict[str, Any]) -> None:
    watch.see(kind, data)
    assert watch.fraction == 0.0
    assert watch.node == ""


def test_a_node_that_was_expanded_is_named_by_its_origin(watch: JobWatch) -> None:
    watch.see("executing", {"node": "3.0.0.1"})
    assert watch.node == "3"


def test_success_and_outputs_are_kept_and_an_error_is_no_success(watch: JobWatch) -> None:
    watch.see("executed", {"node": "9", "output": {"images": []}})
    watch.see("executed", {"node": None, "output": {"images": [1]}})
    watch.see("executed", {"output": 7})
    assert watch.outputs == {"9": {"images": []}}
    told = [watch.succeeded]
    for kind in ("execution_success", "execution_error"):
        watch.see(kind, {})
        told.append(watch.succeeded)
    assert told == [False, True, False]


def test_what_is_cached_is_no_work(watch: JobWatch) -> None:
    watch.see("execution_cached", {"nodes": ["4", "43", "16", "40", "53"]})
    assert watch.fraction == 0.0
    watch.see("progress", {"node": "3", "value": 1, "max": 4})
    assert 0.2 < watch.fraction <= 0.25


def test_earlier_jobs_say_where_the_time_goes(workflow: Workflow) -> None:
    paces, clock = Paces(), Stopwatch()
    # Here decoding takes four times as long as sampling.
    play(JobWatch(workflow, paces, clock), clock, {"3": 2.0, "8": 8.0})
    watch = JobWatch(workflow, paces, clock)
    watch.see("execution_cached", {"nodes": ["4", "43", "16", "40", "53"]})
    watch.see("progress_state", states(n3=(4, 4, "finished")))
    assert 0.15 < watch.fraction < 0.25


def test_remaining_time_is_unset_until_a_job_was_seen_from_begin_to_end(
    workflow: Workflow,
) -> None:
    paces, clock = Paces(), Stopwatch()
    cut = JobWatch(workflow, paces, clock)
    # Its events were lost for a while: what it took is not known.
    cut.see("execution_start", {})
    cut.see("progress_state", states(n4=(1, 1, "finished"), n3=(4, 4, "finished")))
    cut.see("execution_success", {})
    cut.close()
    assert JobWatch(workflow, paces, clock).remaining_seconds(0) is None
    failed = JobWatch(workflow, paces, clock)
    failed.see("execution_start", {})
    failed.see("executing", {"node": "3"})
    failed.see("execution_error", {})
    failed.close()
    assert JobWatch(workflow, paces, clock).remaining_seconds(0) is None
    play(JobWatch(workflow, paces, clock), clock, {"4": 5.0, "3": 10.0, "8": 1.0})
    assert JobWatch(workflow, paces, clock).remaining_seconds(0) == pytest.approx(16.0, rel=0.3)


def test_remaining_time_follows_steps_cache_queue_and_pace(workflow: Workflow) -> None:
    paces, clock = Paces(), Stopwatch()
    play(JobWatch(workflow, paces, clock), clock, {"4": 6.0, "3": 8.0, "8": 2.0})
    watch = JobWatch(workflow, paces, clock)
    waiting = watch.remaining_seconds(1)
    assert waiting is not None
    assert waiting == pytest.approx(16.0 + (watch.remaining_seconds(0) or 0.0))
    watch.see("execution_start", {})
    watch.see("execution_cached", {"nodes": ["4", "43", "16", "40", "53"]})
    assert watch.remaining_seconds(0) == pytest.approx(10.0, rel=0.1)
    watch.see("executing", {"node": "3"})
    clock.now += 2.0
    # Twice the steps of the job before, as fast as there.
    watch.see("progress", {"node": "3", "value": 1, "max": 8})
    assert watch.remaining_seconds(0) == pytest.approx(16.0, rel=0.15)
    clock.now += 60.0
    slow = watch.remaining_seconds(0)
    assert slow is not None
    assert slow > 40.0, "slower than usual by far"


def test_loading_models_is_told_of_the_execution(workflow: Workflow) -> None:
    paces, clock = Paces(), Stopwatch()
    watch = JobWatch(workflow, paces, clock)
    play(watch, clock, {"4": 12.5, "3": 8.0, "8": 2.0})
    assert watch.facts() == {"execution_seconds": "22.500", "model_load_seconds": "12.500"}
    assert JobWatch(workflow, paces, clock).facts() == {}


def test_previews_are_two_a_second_and_only_the_newest_is_kept(workflow: Workflow) -> None:
    clock = Stopwatch()
    watch = JobWatch(workflow, None, clock)
    taken = 0
    for _ in range(1000):
        clock.now += 0.01
        taken += watch.wants_preview()
    assert 19 <= taken <= 21
    for number in range(10):
        watch.show(Preview("image/jpeg", bytes([number])))
    assert watch.take_preview() == Preview("image/jpeg", bytes([9]))
    assert watch.take_preview() is None
