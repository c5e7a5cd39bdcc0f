"""The tables come up from nothing and from every earlier version, and are those of the code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.kit.errors import Unavailable
from services.recorder.tracker.choice import tracker_of
from services.recorder.tracker.migrate import VERSION_TABLE, configuration, migrate
from services.recorder.tracker.ports import EVERY_RUN, Tracker
from services.recorder.tracker.postgresql import Postgresql, parse_address
from services.recorder.tracker.sql import SqlTracker
from services.recorder.tracker.sqlite import Sqlite
from services.recorder.tracker.tables import metadata
from tests.integration.tracker.courses import of_number, succeeded

# One row of each table as every version wrote it, so that what is there is read by the newest.
ROWS_OF_VERSION = {
    "0001": [
        "INSERT INTO run_executions (store_id, run_id, status, config_name, safety_level,"
        " execution_mode, created_at, retry_count, inputs, outputs, last_event_seq, projection)"
        " VALUES ('store-a', '00000000-0000-0000-0000-000000000001', 'running', 'dada', 'kids',"
        " 'eco', '2026-01-01 00:00:00.000000', 0, '[]', '[]', 4, 1)",
        "INSERT INTO step_executions (store_id, run_id, number, stage, step, output_index, pass,"
        " status, started_at, retry_count, inputs, outputs)"
        " VALUES ('store-a', '00000000-0000-0000-0000-000000000001', 1, 1, 'a', 0, 0,"
        " 'running', '2026-01-01 00:00:00.000000', 0, '[]', '[]')",
    ]
}


@pytest.fixture
def make(setting: str, tmp_path: Path) -> Callable[[], Tracker]:
    def tracker() -> Tracker:
        made = tracker_of(setting, tmp_path / "executions.sqlite")
        assert made is not None
        return made

    return tracker


@contextmanager
def connected(setting: str, tmp_path: Path) -> Iterator[sa.Connection]:
    if setting == "sqlite":
        engine = Sqlite(tmp_path / "executions.sqlite").connect()
    else:
        engine = Postgresql(parse_address(setting)).connect()
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def versions() -> list[str]:
    with sa.create_engine("sqlite://").connect() as connection:
        script = ScriptDirectory.from_config(configuration(connection))
    return [one.revision for one in reversed(list(script.walk_revisions()))]


def constraints(connection: sa.Connection) -> dict[str, set[str]]:
    found = sa.inspect(connection)
    return {
        table: {
            *(str(one["name"]) for one in found.get_check_constraints(table)),
            *(str(one["name"]) for one in found.get_unique_constraints(table)),
            *(str(one["name"]) for one in found.get_foreign_keys(table)),
            *(str(one["name"]) for one in found.get_indexes(table)),
            str(found.get_pk_constraint(table)["name"]),
        }
        for table in ("run_executions", "step_executions")
    }


def checks(connection: sa.Connection) -> list[str]:
    found = sa.inspect(connection)
    return sorted(
        f"{table} {one['name']} {one['sqltext']}"
        for table in ("run_executions", "step_executions")
        for one in found.get_check_constraints(table)
    )


def test_the_migrated_tables_are_those_of_the_code(setting: str, tmp_path: Path) -> None:
    with connected(setting, tmp_path) as connection:
        migrate(connection)
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []
        migrated = (constraints(connection), checks(connection))
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert (constraints(connection), checks(connection)) == migrated


@pytest.mark.parametrize("version", versions())
def test_tables_and_rows_of_every_version_come_up_to_the_newest(
    setting: str, tmp_path: Path, version: str, make: Callable[[], Tracker]
) -> None:
    with connected(setting, tmp_path) as connection:
        migrate(connection, version)
        for statement in ROWS_OF_VERSION[version]:
            connection.exec_driver_sql(statement)
    tracker = make()
    tracker.open("store-a")
    [one] = tracker.newest(EVERY_RUN, 10)
    assert (one.config_name, len(one.steps)) == ("dada", 1)
    tracker.close()


def test_opening_again_changes_nothing(make: Callable[[], Tracker]) -> None:
    one = of_number(1, succeeded())
    for _ in range(3):
        tracker = make()
        tracker.open("store-a")
        tracker.write([one])
        assert tracker.find(one.run_id) == one
        tracker.close()


def test_many_recorders_may_start_at_once_on_one_empty_database(postgres: str) -> None:
    trackers = [SqlTracker(Postgresql(parse_address(postgres))) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for number, opened in enumerate(
            [pool.submit(one.open, f"store-{n}") for n, one in enumerate(trackers)]
        ):
            opened.result(30)
            trackers[number].write([of_number(number + 1, succeeded())])
    for number, tracker in enumerate(trackers):
        assert len(tracker.newest(EVERY_RUN, 10)) == 1, number
        tracker.close()


def test_tables_of_a_later_version_are_left_alone(
    setting: str, tmp_path: Path, make: Callable[[], Tracker]
) -> None:
    with connected(setting, tmp_path) as connection:
        migrate(connection)
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(Unavailable, match="newer"):
        make().open("store-a")


def test_a_broken_file_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "executions.sqlite"
    tracker = SqlTracker(Sqlite(file))
    tracker.open("store-a")
    tracker.close()
    file.write_bytes(b"SQLite format 3\0" + b"no more of it" * 400)
    tracker.open("store-a")
    one = of_number(1, succeeded())
    tracker.write([one])
    assert tracker.find(one.run_id) == one
    tracker.close()
