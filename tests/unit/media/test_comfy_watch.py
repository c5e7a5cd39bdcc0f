"""Progress from events: one fraction, honest and monotonic."""

from __future__ import annotations

from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.media.catalogue import load_output_catalogue
from services.media.comfy.watch import JobWatch
from services.media.domain.workflow import Workflow


@pytest.fixture
def watch() -> JobWatch:
    workflow = load_output_catalogue(CONFIGS).configs["sd35_large"].backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    return JobWatch(workflow)


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
