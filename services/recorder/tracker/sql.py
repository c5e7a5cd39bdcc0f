"""The tracker in an SQL database: SQLAlchemy Core over whichever database it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import sqlalchemy as sa
from alembic.util.exc import CommandError
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from services.kit.errors import FailedPrecondition, Unavailable
from services.kit.ids import RunId
from services.recorder.domain.execution import PROJECTION, RunExecution, StepExecution
from services.recorder.domain.vocabulary import RunState
from services.recorder.tracker.migrate import migrate
from services.recorder.tracker.ports import ExecutionFilter, Tracked
from services.recorder.tracker.rows import read_run, read_step, run_row, step_row
from services.recorder.tracker.tables import run_executions as runs
from services.recorder.tracker.tables import step_executions as steps


class Database(Protocol):
    """What differs between databases: see `sqlite` and `postgresql`."""

    def connect(self) -> sa.Engine:
        """Return a new engine; nothing has to be reachable yet."""
        ...

    def migrating(self, connection: sa.Connection) -> None:
        """Let nobody else change the tables until the transaction ends."""
        ...

    def writing(self, connection: sa.Connection, store_id: str) -> None:
        """Let no other call about this store in until the transaction ends.

        A call that was given up may still be on its way to the database, and what it says is old.
        """
        ...

    def interrupt(self) -> None:
        """Break the connection in use. May come from any thread."""
        ...


class SqlTracker:
    """See `services.recorder.tracker.ports.Tracker`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine: sa.Engine | None = None
        self._store_id = ""

    def open(self, store_id: str) -> None:
        """Connect and migrate."""
        self.close()
        self._store_id = store_id
        try:
            with _database_errors():
                self._engine = self._database.connect()
                with self._engine.begin() as connection:
                    self._database.migrating(connection)
                    migrate(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect."""
        engine, self._engine = self._engine, None
        if engine is not None:
            with _database_errors():
                engine.dispose()

    def interrupt(self) -> None:
        """Break the connection in use."""
        self._database.interrupt()

    def write(self, executions: Sequence[RunExecution]) -> None:
        """Replace the rows of these runs."""
        if not executions:
            return
        store_id = self._store_id
        step_rows = [
            step_row(store_id, one.run_id, step) for one in executions for step in one.steps
        ]
        with self._alone() as connection:
            self._delete(connection, [one.run_id for one in executions])
            connection.execute(sa.insert(runs), [run_row(store_id, one) for one in executions])
            if step_rows:
                connection.execute(sa.insert(steps), step_rows)

    def remove(self, run_ids: Sequence[RunId]) -> None:
        """Remove the rows of these runs."""
        if run_ids:
            with self._alone() as connection:
                self._delete(connection, run_ids)

    def tracked(self, after: RunId | None, size: int) -> list[Tracked]:
        """Return runs by their ids."""
        wanted = (
            sa.select(runs.c.run_id, runs.c.status, runs.c.projection)
            .where(runs.c.store_id == self._store_id)
            .order_by(runs.c.run_id)
            .limit(size)
        )
        if after is not None:
            wanted = wanted.where(runs.c.run_id > after.value)
        with self._alone() as connection:
            found = connection.execute(wanted).all()
        return [
            Tracked(RunId(run_id), RunState(status).is_final and projection == PROJECTION)
            for run_id, status, projection in found
        ]

    def find(self, run_id: RunId) -> RunExecution | None:
        """Return a run's row with its steps."""
        found = self._read(self._mine().where(runs.c.run_id == run_id.value))
        return found[0] if found else None

    def newest(
        self, wanted: ExecutionFilter, size: int, before: RunExecution | None = None
    ) -> list[RunExecution]:
        """Return runs, newest first."""
        query = self._mine().order_by(runs.c.created_at.desc(), runs.c.run_id.desc()).limit(size)
        for column in ("status", "config_name", "safety_level", "error"):
            value = getattr(wanted, column)
            if value is not None:
                query = query.where(runs.c[column] == str(value))
        if wanted.since is not None:
            query = query.where(runs.c.created_at >= wanted.since)
        if wanted.until is not None:
            query = query.where(runs.c.created_at < wanted.until)
        if before is not None:
            place = sa.tuple_(runs.c.created_at, runs.c.run_id)
            query = query.where(place < sa.tuple_(before.created_at, before.run_id.value))
        return self._read(query)

    def _mine(self) -> sa.Select[tuple[object, ...]]:
        return sa.select(runs).where(runs.c.store_id == self._store_id)

    def _read(self, query: sa.Select[tuple[object, ...]]) -> list[RunExecution]:
        with self._transaction() as connection:
            found = connection.execute(query).mappings().all()
            of_runs: dict[str, list[StepExecution]] = {row["run_id"]: [] for row in found}
            theirs = (
                sa.select(steps)
                .where(steps.c.store_id == self._store_id, steps.c.run_id.in_(of_runs))
                .order_by(steps.c.run_id, steps.c.number)
            )
            for row in connection.execute(theirs).mappings():
                of_runs[row["run_id"]].append(read_step(row))
        return [read_run(row, of_runs[row["run_id"]]) for row in found]

    def _delete(self, connection: sa.Connection, run_ids: Sequence[RunId]) -> None:
        # The steps go with their run.
        ids = [run_id.value for run_id in run_ids]
        connection.execute(
            sa.delete(runs).where(runs.c.store_id == self._store_id, runs.c.run_id.in_(ids))
        )

    # What changes rows, and what finds out which are missing, comes after all that is on its way.
    @contextmanager
    def _alone(self) -> Iterator[sa.Connection]:
        with self._transaction() as connection:
            self._database.writing(connection, self._store_id)
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        if self._engine is None:
            raise Unavailable("TRACKER_UNAVAILABLE", "it is not open")
        with _database_errors(), self._engine.begin() as connection:
            yield connection


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise Unavailable(
            "TRACKER_UNAVAILABLE", "its tables are of a newer version than this program"
        ) from error
    except (IntegrityError, DataError) as error:
        raise FailedPrecondition("TRACKER_REFUSED", _why(error)) from error
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable("TRACKER_UNAVAILABLE", _why(error)) from error


def _why(error: Exception) -> str:
    # What a database says of a statement may quote it; what it says of a connection names the
    # host and the role, and never the password.
    origin = getattr(error, "orig", None) or error
    lines = str(origin).strip().splitlines() or [""]
    state = getattr(origin, "sqlstate", None)
    name = type(origin).__name__
    return f"{name} {state}" if state else f"{name}: {lines[0][:200]}"
