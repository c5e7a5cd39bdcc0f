"""The tracker's two tables, as the newest migration leaves them. docs/tracker.md explains them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from services.recorder.domain.vocabulary import (
    FINAL_OUTPUT_STATES,
    FINAL_RUN_STATES,
    ExecutionMode,
    RunState,
    SafetyLevel,
)

_RUN_STATUSES = sorted({RunState.PENDING, RunState.RUNNING} | FINAL_RUN_STATES)
_STEP_STATUSES = sorted({RunState.RUNNING} | FINAL_OUTPUT_STATES)


class UtcTime(sa.TypeDecorator[datetime]):
    """A moment: in PostgreSQL with its zone; SQLite has no zones, so that UTC is meant there."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Take an aware time."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Return an aware time in UTC."""
        if not isinstance(value, datetime):
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# In the order of bytes, whatever the database's own order is.
_ID = sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql")
_NAMES = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

metadata = sa.MetaData()


def _one_of(
    table: str, column: str, words: list[RunState] | type[SafetyLevel] | type[ExecutionMode]
) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"ck_{table}_{column}")


run_executions = sa.Table(
    "run_executions",
    metadata,
    sa.Column("store_id", _ID, nullable=False),
    sa.Column("run_id", _ID, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("config_name", sa.Text, nullable=False),
    sa.Column("safety_level", sa.Text, nullable=False),
    sa.Column("execution_mode", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("started_at", UtcTime),
    sa.Column("completed_at", UtcTime),
    sa.Column("execution_time_ms", sa.BigInteger),
    sa.Column("retry_count", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("inputs", _NAMES, nullable=False),
    sa.Column("outputs", _NAMES, nullable=False),
    sa.Column("last_event_seq", sa.Integer, nullable=False),
    sa.Column("projection", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("store_id", "run_id", name="pk_run_executions"),
    _one_of("run_executions", "status", _RUN_STATUSES),
    _one_of("run_executions", "safety_level", SafetyLevel),
    _one_of("run_executions", "execution_mode", ExecutionMode),
    sa.Index("ix_run_executions_created_at", "created_at", "run_id"),
    sa.Index("ix_run_executions_status", "status", "created_at"),
    sa.Index("ix_run_executions_config_name", "config_name", "created_at"),
)

step_executions = sa.Table(
    "step_executions",
    metadata,
    sa.Column("store_id", _ID, nullable=False),
    sa.Column("run_id", _ID, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("stage", sa.Integer, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("output_index", sa.Integer, nullable=False),
    sa.Column("output_config", sa.Text),
    sa.Column("pass", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("completed_at", UtcTime),
    sa.Column("execution_time_ms", sa.BigInteger),
    sa.Column("retry_count", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("inputs", _NAMES, nullable=False),
    sa.Column("outputs", _NAMES, nullable=False),
    sa.PrimaryKeyConstraint("store_id", "run_id", "number", name="pk_step_executions"),
    sa.ForeignKeyConstraint(
        ["store_id", "run_id"],
        ["run_executions.store_id", "run_executions.run_id"],
        name="fk_step_executions_run_executions",
        ondelete="CASCADE",
    ),
    sa.UniqueConstraint(
        "store_id",
        "run_id",
        "stage",
        "step",
        "output_index",
        "pass",
        name="uq_step_executions",
    ),
    _one_of("step_executions", "status", _STEP_STATUSES),
    sa.Index("ix_step_executions_step", "step", "status"),
)
