from __future__ import annotations

from services.cli.domain.restarts import RestartPolicy


def test_the_wait_doubles_from_half_a_second() -> None:
    policy = RestartPolicy()
    assert [policy.next_delay(now) for now in range(5)] == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_the_sixth_death_within_a_minute_ends_it() -> None:
    policy = RestartPolicy()
    for now in range(5):
        assert policy.next_delay(now) is not None
    assert policy.next_delay(60.0) is None


def test_deaths_older_than_a_minute_are_forgotten() -> None:
    policy = RestartPolicy()
    for now in range(5):
        policy.next_delay(now)
    assert policy.next_delay(64.5) == 0.5


def test_one_death_every_quarter_of_an_hour_never_ends_it() -> None:
    policy = RestartPolicy()
    assert {policy.next_delay(900.0 * number) for number in range(100)} == {0.5}
