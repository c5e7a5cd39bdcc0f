from __future__ import annotations

import pytest

from services.cli.domain.run_view import Event, RunView


def view_of(*events: Event) -> RunView:
    view = RunView()
    for event in events:
        view.apply(event)
    return view


def delta(offset: int, text: str, number: int = 0, kind: str = "interception") -> Event:
    data = {"entity_type": kind, "pass": number, "offset": offset, "text": text}
    return Event("text_delta", data)


def test_deltas_grow_the_text() -> None:
    assert view_of(delta(0, "Eine "), delta(5, "Blume")).growing.text == "Eine Blume"


def test_a_gap_stops_the_growth_until_the_text_begins_anew() -> None:
    view = view_of(delta(0, "Eine "), delta(9, "e"), delta(5, "Blum"))
    assert (view.growing.text, view.growing.gap) == ("Eine ", True)
    view.apply(delta(0, "Ein"))
    assert (view.growing.text, view.growing.gap) == ("Ein", False)


def test_a_delta_seen_before_changes_nothing() -> None:
    assert view_of(delta(0, "Eine "), delta(5, "Blume"), delta(5, "Blume")).growing.text == (
        "Eine Blume"
    )


def test_each_pass_grows_its_own_text() -> None:
    view = view_of(delta(0, "eins", 1), delta(0, "zw", 2), delta(2, "ei", 2))
    assert (view.growing_pass, view.growing.text) == (2, "zwei")


def test_the_committed_entity_takes_the_place_of_the_growing_text() -> None:
    view = view_of(
        delta(0, "Blume"), Event("entity_committed", {"type": "interception", "sequence": 4}, 9)
    )
    assert view.growing.text == ""
    assert view.completed == 4


def test_a_delta_that_comes_after_its_entity_is_not_shown_again() -> None:
    committed = {"type": "interception_pass", "pass": 1, "sequence": 4}
    view = view_of(
        Event("entity_committed", committed, 9), delta(0, "Blume", 1, "interception_pass")
    )
    assert view.growing.text == ""
    view.apply(delta(0, "Bluse", 2, "interception_pass"))
    assert view.growing.text == "Bluse"


def test_render_progress_is_kept_per_output() -> None:
    view = view_of(
        Event("render_progress", {"output_index": 1, "phase": "executing", "fraction": 0.5}),
        Event("render_progress", {"output_index": 2, "phase": "queued", "queue_position": 3}),
        Event("output_finished", {"index": 1, "config": "flux2", "status": "succeeded"}, 7),
    )
    assert (view.outputs[1].status, view.outputs[1].fraction) == ("succeeded", 1.0)
    assert (view.outputs[2].phase, view.outputs[2].queue_position) == ("queued", 3)


def test_progress_that_comes_after_the_end_of_an_output_changes_nothing() -> None:
    view = view_of(
        Event("output_finished", {"index": 1, "config": "flux2", "status": "not_available"}, 7),
        Event("render_progress", {"output_index": 1, "phase": "queued", "fraction": 0.0}),
    )
    assert (view.outputs[1].status, view.outputs[1].phase) == ("not_available", "")


@pytest.mark.parametrize("state", ["succeeded", "partial", "blocked", "failed", "cancelled"])
def test_every_final_state_ends_the_run(state: str) -> None:
    assert view_of(Event("state_changed", {"state": state, "error": None}, 1)).final


def test_a_running_run_is_not_final() -> None:
    assert not view_of(Event("state_changed", {"state": "running"}, 1)).final


@pytest.mark.parametrize(
    "event",
    [
        Event("unknown", {}, 3),
        Event("apply", {"state": "failed"}, 3),
        Event("__class__", {}),
        Event("state_changed", {"state": 7}, 3),
        Event("render_progress", {"output_index": 1, "fraction": "all", "phase": None}),
        Event("text_delta", {"offset": None, "text": 5, "pass": True}),
        Event("stage_started", {"stage": "two"}, 3),
    ],
)
def test_what_is_not_understood_ends_nothing(event: Event) -> None:
    assert not view_of(event).final


def entity(sequence: int, kind: str, **metadata: str) -> Event:
    data = {"sequence": sequence, "type": kind, "metadata": metadata}
    return Event("entity_committed", data, sequence)


def test_a_question_is_open_until_its_own_decision() -> None:
    view = view_of(
        entity(5, "question"), entity(6, "question"), entity(7, "decision", question="5")
    )
    assert view.open_questions == {6}


def test_a_place_in_line_counts_until_the_run_begins() -> None:
    place = Event("queue", {"position": 3, "estimated_wait_seconds": 20})
    view = view_of(Event("state_changed", {"state": "pending"}, 1), place)
    assert (view.ahead, view.wait_seconds, view.has_begun) == (3, 20.0, False)
    view.apply(Event("state_changed", {"state": "running"}, 2))
    assert view.has_begun
