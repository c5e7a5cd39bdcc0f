"""The queue that is fair between people."""

from __future__ import annotations

from services.kit.fair_queue import MAX_REMEMBERED, FairQueue


def queue_of(*jobs: str) -> FairQueue[str]:
    """A queue in which these came in this order; the first letter says whose each is."""
    queue: FairQueue[str] = FairQueue()
    for job in jobs:
        queue.add(job, job[0])
    return queue


def served(queue: FairQueue[str]) -> list[str]:
    """Everything in it, taken out one by one."""
    order = []
    while queue:
        order.append(next(iter(queue)))
        queue.serve(order[-1])
    return order


def test_one_persons_jobs_go_in_the_order_in_which_they_came() -> None:
    assert served(queue_of("a1", "a2", "a3")) == ["a1", "a2", "a3"]


def test_people_take_turns_and_within_a_turn_who_came_first_is_first() -> None:
    queue = queue_of("a1", "a2", "a3", "b1", "c1", "b2")
    assert served(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_the_order_that_is_told_is_the_order_in_which_they_are_served() -> None:
    queue = queue_of("a1", "a2", "b1", "c1", "b2", "a3")
    assert list(queue) == served(queue)


def test_who_had_a_turn_comes_after_those_who_had_none() -> None:
    queue = queue_of("a1")
    queue.serve("a1")
    queue.add("a2", "a")
    queue.add("b1", "b")
    assert served(queue) == ["b1", "a2"]


def test_who_comes_late_does_not_catch_up_on_turns_missed() -> None:
    queue = queue_of("a0", "a1", "a2", "a3", "a4")
    for job in ("a0", "a1", "a2", "a3"):
        queue.serve(job)
    for job in ("b0", "b1", "b2"):
        queue.add(job, "b")
    assert served(queue) == ["b0", "a4", "b1", "b2"]


def test_who_is_passed_over_keeps_the_place() -> None:
    queue = queue_of("a1", "b1", "c1")
    queue.serve("b1")
    queue.add("b2", "b")
    assert list(queue) == ["a1", "c1", "b2"]


def test_who_gives_up_lets_the_own_jobs_move_up() -> None:
    queue = queue_of("a1", "a2", "b1", "b2")
    queue.remove("a1")
    assert served(queue) == ["a2", "b1", "b2"]
    assert not queue


def test_what_is_put_back_comes_first_and_costs_no_turn() -> None:
    queue = queue_of("a1", "b1")
    queue.serve("a1")
    queue.put_back("a1")
    queue.add("a2", "a")
    assert served(queue) == ["a1", "b1", "a2"]


def test_it_is_known_how_many_somebody_has_in_it() -> None:
    queue = queue_of("a1", "b1", "a2")
    assert [queue.count(owner) for owner in "abc"] == [2, 1, 0]
    queue.serve("a1")
    assert queue.count("a") == 1


def test_taking_out_what_is_not_there_changes_nothing() -> None:
    queue = queue_of("a1", "b1")
    queue.serve("x")
    queue.remove("x")
    assert served(queue) == ["a1", "b1"]


def test_the_memory_of_turns_is_bounded() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3 * MAX_REMEMBERED):
        queue.add("job", f"person {number}")
        queue.serve("job")
    assert len(queue._next_turn) <= MAX_REMEMBERED
    queue.add("new", "somebody new")
    queue.add("old", f"person {3 * MAX_REMEMBERED - 1}")
    assert served(queue) == ["new", "old"]
