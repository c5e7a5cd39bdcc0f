"""The index through its port: the twin in memory and SQLite give the same answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kit.ids import RunId
from services.recorder.domain.events import StateChanged
from services.recorder.domain.filter import Filter
from services.recorder.domain.folding import fold
from services.recorder.domain.outcome import Output
from services.recorder.domain.run import Place
from services.recorder.domain.summary import summarize
from services.recorder.domain.vocabulary import (
    Audience,
    EntityType,
    MediaKind,
    RunState,
    SafetyLevel,
)
from services.recorder.index.memory import MemoryIndex
from services.recorder.index.port import Entry, Index
from services.recorder.index.sqlite import SqliteIndex
from services.recorder.ports import Stamp
from tests.support.run_folders import CONFIGS, FIRST, finished_run, input_of, run_id_of

RESEARCH = Audience.RESEARCH
ALL = Filter()


class FullIndex(SqliteIndex):
    """An index whose disk has had no room since it was opened."""

    def _write(self) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error


def entry(number: int, text: str | None = None, **changes: Any) -> Entry:
    """The entry of the number-th run, durable."""
    run = replace(finished_run(number), **changes)
    stamp = Stamp(number, number, 1000)
    return Entry(summarize(run), fold(text or input_of(number)), Audience.STUDENT, stamp, True)


@pytest.fixture(params=["memory", "sqlite", "full"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    """Each implementation, opened; SQLite also with nothing written yet."""
    kinds = {"sqlite": SqliteIndex, "full": FullIndex}
    kind = kinds.get(request.param)
    opened: Index = MemoryIndex() if kind is None else kind(tmp_path / ".index" / "runs.sqlite")
    opened.open()
    yield opened
    opened.close()


def numbers(index: Index, wanted: Filter = ALL, audience: Audience = RESEARCH) -> list[int]:
    """The numbers of the runs that fit, in the order of the list."""
    known = {run_id_of(number): number for number in range(100)}
    return [known[one.summary.run.run_id] for one in index.page(wanted, audience, None, 1000)]


def test_runs_come_newest_first_and_those_of_one_moment_in_a_fixed_order(index: Index) -> None:
    same = [replace_id(number) for number in range(3)]
    index.put([entry(5), entry(1), entry(9), *same], [])
    listed = [one.summary.run for one in index.page(ALL, RESEARCH, None, 100)]
    assert listed == sorted(listed, key=lambda run: run.place, reverse=True)
    assert len(listed) == 6


def replace_id(number: int) -> Entry:
    """Runs created at one moment."""
    return entry(50, run_id=run_id_of(60 + number))


def test_a_page_goes_on_after_its_place_whatever_came_and_went(index: Index) -> None:
    index.put([entry(number) for number in range(10)], [])
    first = index.page(ALL, RESEARCH, None, 4)
    after = first[-1].summary.run.place
    index.put([entry(20)], [first[-1].summary.run.run_id, run_id_of(2)])
    rest = index.page(ALL, RESEARCH, after, 100)
    assert [one.summary.run.seed for one in first] == [9, 8, 7, 6]
    assert [one.summary.run.seed for one in rest] == [5, 4, 3, 1, 0]


def test_the_newest_word_on_a_run_counts(index: Index) -> None:
    index.put([entry(1, state=RunState.RUNNING, finished_at=None)], [])
    index.put([entry(1)], [])
    (listed,) = index.page(ALL, RESEARCH, None, 10)
    assert listed.summary == summarize(finished_run(1))
    assert listed.stamp == Stamp(1, 1, 1000)
    index.put([], [run_id_of(1)])
    index.put([], [run_id_of(1)])
    assert numbers(index) == []
    index.put([entry(1)], [])
    assert numbers(index) == [1]


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(user_id="user-7"), lambda n: n == 7),
        (Filter(config_names=frozenset({"dada", "haiku"})), lambda n: n % 5 in (0, 3)),
        (Filter(states=frozenset({RunState.BLOCKED})), lambda n: n % 3 == 1),
        (Filter(states=frozenset({RunState.PENDING})), lambda n: False),
        (
            Filter(safety_levels=frozenset({SafetyLevel.KIDS, SafetyLevel.RESEARCH})),
            lambda n: n % 4 in (0, 3),
        ),
        (Filter(created_from=FIRST + timedelta(seconds=12)), lambda n: n >= 12),
        (Filter(created_before=FIRST + timedelta(seconds=12)), lambda n: n < 12),
        (Filter(kinds=frozenset({MediaKind.AUDIO})), lambda n: n % 3 == 1),
        (Filter(kinds=frozenset({MediaKind.VIDEO})), lambda n: False),
        (Filter(text="NUMMER 1"), lambda n: n == 1 or 10 <= n < 20),
        (Filter(text="annchen"), lambda n: True),
        (Filter(favourites=True), lambda n: n in (3, 4)),
        (
            Filter(
                config_names=frozenset(CONFIGS[:2]),
                states=frozenset({RunState.FAILED, RunState.BLOCKED}),
                kinds=frozenset({MediaKind.IMAGE, MediaKind.AUDIO}),
                created_from=FIRST + timedelta(seconds=3),
                text="wiese",
            ),
            lambda n: n % 5 < 2 and n % 3 < 2 and n >= 3,
        ),
    ],
)
def test_a_filter_keeps_what_fits_and_counts_the_same(
    index: Index, wanted: Filter, fits: Any
) -> None:
    index.put([entry(number) for number in range(30)], [])
    index.set_favourites({run_id_of(3): True, run_id_of(4): True, run_id_of(5): True})
    index.set_favourites({run_id_of(5): False})
    expected = [number for number in reversed(range(30)) if fits(number)]
    assert numbers(index, wanted) == expected
    assert index.stats(wanted, RESEARCH).runs == len(expected)


def test_a_run_of_several_kinds_is_found_by_each(index: Index) -> None:
    outputs = (Output(1, "a", 1, MediaKind.TEXT), Output(2, "b", 1, MediaKind.CODE))
    index.put([entry(1, outputs=outputs)], [])
    for kind in MediaKind:
        wanted = Filter(kinds=frozenset({kind}))
        assert bool(numbers(index, wanted)) is (kind in (MediaKind.TEXT, MediaKind.CODE))


def test_a_run_is_found_by_the_config_of_each_of_its_outputs(index: Index) -> None:
    twice = (Output(1, "a", 1, MediaKind.TEXT), Output(2, "a", 2, MediaKind.TEXT))
    index.put([entry(1, outputs=(*twice, Output(3, "b", 1, MediaKind.CODE)))], [])
    index.put([entry(2, outputs=twice)], [])

    def found(*configs: str) -> list[int]:
        return numbers(index, Filter(output_configs=frozenset(configs)))

    assert (found("a"), found("b"), found("a", "b"), found("c")) == ([2, 1], [1], [2, 1], [])
    assert index.stats(Filter(output_configs=frozenset({"a"})), RESEARCH).runs == 2
    index.put([], [run_id_of(2)])
    assert found("a") == [1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("100%", [1]),
        ("%", [1]),
        ("_", [2]),
        ("a_b", [2]),
        ("axb", []),
        ("\\", [3]),
        ("'; DROP TABLE runs; --", [4]),
        ("'", [4]),
        ('"', []),
        ("ÉTÉ", [5]),
        ("ete\u0301", [5]),
        ("straße", [5]),
        ("STRASSE", [5]),
        ("绘画", [6]),
        ("🎨", [6]),
        ("🖌", []),
        ("ﬁsch", [7]),
        ("i\u0307stanbul", [7]),
        ("\u0301", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_text_means_itself_whatever_it_is(index: Index, text: str, found: list[int]) -> None:
    texts = {
        1: "zu 100% aus Papier",
        2: "a_b",
        3: "C:\\Kunst",
        4: "'; drop table runs; --",
        5: "un été dans la Straße",
        6: "绘画🎨",
        7: "Fisch aus İstanbul",
    }
    index.put([entry(number, text) for number, text in texts.items()], [])
    assert sorted(numbers(index, Filter(text=text))) == found


def test_only_inputs_that_the_audience_may_see_are_searched(index: Index) -> None:
    index.put(
        [
            replace(entry(number), text_audience=audience)
            for number, audience in enumerate(Audience)
        ],
        [],
    )
    index.put([replace(entry(5), text=None, text_audience=None)], [])
    wanted = Filter(text="Blume")
    assert numbers(index, wanted, Audience.STUDENT) == [0]
    assert numbers(index, wanted, Audience.ADVANCED) == [1, 0]
    assert numbers(index, wanted, Audience.RESEARCH) == [2, 1, 0]
    assert index.stats(wanted, Audience.STUDENT).runs == 1
    assert numbers(index, ALL, Audience.STUDENT) == [5, 2, 1, 0]


def test_counts_and_durations_are_those_of_the_runs(index: Index) -> None:
    index.put([entry(number) for number in range(100)], [])
    index.put([entry(100, state=RunState.RUNNING, finished_at=None)], [])
    stats = index.stats(ALL, RESEARCH)
    assert stats.runs == 101
    assert list(stats.states) == [
        (RunState.RUNNING, 1),
        (RunState.BLOCKED, 33),
        (RunState.FAILED, 34),
        (RunState.CANCELLED, 33),
    ]
    assert dict(stats.configs) == {"dada": 21} | dict.fromkeys(CONFIGS[1:], 20)
    assert stats.configs[0] == ("dada", 21)
    assert (stats.durations_ms, stats.work_p50_ms) == ((49, 89, 98), 49)
    assert stats.entities == 202
    assert stats.size_bytes == sum(summarize(finished_run(n)).size_bytes for n in range(101))


def test_counts_of_nothing_are_nothing(index: Index) -> None:
    stats = index.stats(Filter(user_id="nobody"), RESEARCH)
    assert (stats.runs, stats.states, stats.configs, stats.durations_ms) == (0, [], [], None)
    assert (stats.entities, stats.size_bytes) == (0, 0)


def test_time_in_line_is_no_work(index: Index) -> None:
    ended = finished_run(1).finished_at
    assert ended is not None
    events = tuple(
        replace(one, time=ended - timedelta(milliseconds=7))
        if isinstance(one.payload, StateChanged) and one.payload.state is RunState.RUNNING
        else one
        for one in finished_run(1).events
    )
    index.put([entry(1, events=events, created_at=ended - timedelta(minutes=10))], [])
    stats = index.stats(ALL, RESEARCH)
    assert (stats.durations_ms, stats.work_p50_ms) == ((600_000,) * 3, 7)
    first, last = finished_run(2).entities
    asked = replace(last, draft=replace(last.draft, type=EntityType.QUESTION))
    index.put([entry(2, entities=(first, asked))], [])
    index.put([entry(3, state=RunState.RUNNING, finished_at=None)], [])
    stats = index.stats(ALL, RESEARCH)
    assert (stats.runs, stats.work_p50_ms) == (3, 7)


DIGESTS = ("a" * 64, "b" * 64, "c" * 64)


def made(number: int, *digests: str, user_id: str = "u") -> Entry:
    """The entry of a run with outputs of these digests."""
    return replace(entry(number, user_id=user_id), renders=frozenset(digests))


def rendered(index: Index, digest: str, user_id: str = "u", most: int = 10) -> list[int]:
    """The numbers of the runs with such an output, in their order."""
    known = {run_id_of(number): number for number in range(100)}
    return [known[place.run_id] for place in index.renders(user_id, digest, most)]


def test_runs_with_an_output_made_in_one_way_come_newest_first(index: Index) -> None:
    a, b, c = DIGESTS
    index.put([made(3, a), made(7, a, b), made(5, a), made(9, a, user_id="v")], [])
    assert rendered(index, a) == [7, 5, 3]
    assert rendered(index, a, most=2) == [7, 5]
    assert rendered(index, b) == [7]
    assert rendered(index, a, "v") == [9]
    assert rendered(index, c) == []
    index.put([made(7, c)], [run_id_of(5)])
    assert (rendered(index, a), rendered(index, b), rendered(index, c)) == ([3], [], [7])
    index.keep_only([run_id_of(7)])
    assert (rendered(index, a), rendered(index, c)) == ([], [7])
    index.empty()
    assert rendered(index, c) == []


def test_what_is_not_to_be_kept_is_gone_with_its_mark(index: Index) -> None:
    index.put([entry(number) for number in range(5)], [])
    index.set_favourites({run_id_of(1): True, run_id_of(2): True})
    index.keep_only([run_id_of(2), run_id_of(3), run_id_of(90)])
    assert numbers(index) == [3, 2]
    index.put([entry(1)], [])
    assert numbers(index, Filter(favourites=True)) == [2]


def test_emptied_it_forgets_all_runs_and_no_favourite(index: Index) -> None:
    index.put([entry(1), entry(2)], [])
    index.set_favourites({run_id_of(1): True})
    index.empty()
    assert numbers(index) == []
    index.put([entry(1), entry(2)], [])
    assert numbers(index, Filter(favourites=True)) == [1]


Change = tuple[str, int, int]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "remove", "favourite", "disk", "keep"]),
        st.integers(0, 12),
        st.integers(0, 5),
    ),
    max_size=40,
)
FILTERS = st.builds(
    Filter,
    user_id=st.sampled_from(["", "user-1", "user-2"]),
    config_names=st.frozensets(st.sampled_from(CONFIGS), max_size=2),
    states=st.frozensets(st.sampled_from(RunState), max_size=3),
    created_from=st.none() | st.integers(0, 12).map(lambda s: FIRST + timedelta(seconds=s)),
    created_before=st.none() | st.integers(0, 12).map(lambda s: FIRST + timedelta(seconds=s)),
    kinds=st.frozensets(st.sampled_from(MediaKind), max_size=2),
    output_configs=st.frozensets(st.sampled_from(["builtin_image", "builtin_text"]), max_size=2),
    text=st.sampled_from(["", "nummer 1", "NUMMER", "anderes"]),
    favourites=st.booleans(),
)


class MoodyIndex(SqliteIndex):
    """An index whose disk is full at times."""

    is_full = False

    def _write(self) -> None:
        if self.is_full:
            FullIndex._write(self)  # type: ignore[arg-type]
        super()._write()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(CHANGES, FILTERS, st.sampled_from(Audience), st.integers(1, 5))
def test_both_say_the_same_after_any_changes_on_any_disk(
    tmp_path_factory: pytest.TempPathFactory,
    changes: Sequence[Change],
    wanted: Filter,
    audience: Audience,
    size: int,
) -> None:
    disk = MoodyIndex(tmp_path_factory.mktemp("index") / "runs.sqlite")
    memory = MemoryIndex()
    for index in (disk, memory):
        index.open()
    for change, number, variant in changes:
        disk.is_full = number % 2 == 0 if change == "disk" else disk.is_full
        for index in (disk, memory):
            apply(index, change, number, variant)
    assert pages(disk, wanted, audience, size) == pages(memory, wanted, audience, size)
    assert disk.stats(wanted, audience) == memory.stats(wanted, audience)
    for digest in DIGESTS:
        assert disk.renders("user-1", digest, size) == memory.renders("user-1", digest, size)
    disk.close()


def apply(index: Index, change: str, number: int, variant: int) -> None:
    """Do one change."""
    run_id = run_id_of(number)
    match change:
        case "put":
            is_open = {"state": RunState.RUNNING, "finished_at": None} if variant == 1 else {}
            one = entry(number, "Anderes" if variant == 2 else None, **is_open)
            one = replace(one, renders=frozenset(DIGESTS[: variant % 3]))
            if variant == 3:
                one = replace(one, text=None, text_audience=None)
            if variant == 4:
                one = replace(one, text_audience=RESEARCH)
            index.put([one], [])
        case "remove":
            index.put([], [run_id])
        case "favourite":
            index.set_favourites({run_id: variant % 2 == 0})
        case "keep":
            index.keep_only([RunId(run_id_of(n).value) for n in range(13) if n % 6 != variant])


def pages(index: Index, wanted: Filter, audience: Audience, size: int) -> list[Any]:
    """Every page."""
    found: list[Any] = []
    after: Place | None = None
    while page := index.page(wanted, audience, after, size):
        assert len(page) <= size
        found.append(list(page))
        after = page[-1].summary.run.place
    return found
