"""Runs and their steps.

A migration is never changed once it was released, so it says in its own words what it makes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

RUN_STATUSES = "'blocked', 'cancelled', 'failed', 'partial', 'pending', 'running', 'succeeded'"
STEP_STATUSES = "'blocked', 'cancelled', 'failed', 'not_available', 'running', 'succeeded'"
LEVELS = "'kids', 'youth', 'adult', 'research'"
MODES = "'eco', 'fast'"


def upgrade() -> None:
    """Make the two tables."""
    an_id = sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql")
    names = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "run_executions",
        sa.Column("store_id", an_id, nullable=False),
        sa.Column("run_id", an_id, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("config_name", sa.Text, nullable=False),
        sa.Column("safety_level", sa.Text, nullable=False),
        sa.Column("execution_mode", sa.Text, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("started_at", moment),
        sa.Column("completed_at", moment),
        sa.Column("execution_time_ms", sa.BigInteger),
        sa.Column("retry_count", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("inputs", names, nullable=False),
        sa.Column("outputs", names, nullable=False),
        sa.Column("last_event_seq", sa.Integer, nullable=False),
        sa.Column("projection", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("store_id", "run_id", name="pk_run_executions"),
        sa.CheckConstraint(f"status IN ({RUN_STATUSES})", name="ck_run_executions_status"),
        sa.CheckConstraint(f"safety_level IN ({LEVELS})", name="ck_run_executions_safety_level"),
        sa.CheckConstraint(f"execution_mode IN ({MODES})", name="ck_run_executions_execution_mode"),
    )
    op.create_index("ix_run_executions_created_at", "run_executions", ["created_at", "run_id"])
    op.create_index("ix_run_executions_status", "run_executions", ["status", "created_at"])
    op.create_index(
        "ix_run_executions_config_name", "run_executions", ["config_name", "created_at"]
    )
    op.create_table(
        "step_executions",
        sa.Column("store_id", an_id, nullable=False),
        sa.Column("run_id", an_id, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("output_index", sa.Integer, nullable=False),
        sa.Column("output_config", sa.Text),
        sa.Column("pass", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("completed_at", moment),
        sa.Column("execution_time_ms", sa.BigInteger),
        sa.Column("retry_count", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("inputs", names, nullable=False),
        sa.Column("outputs", names, nullable=False),
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
        sa.CheckConstraint(f"status IN ({STEP_STATUSES})", name="ck_step_executions_status"),
    )
    op.create_index("ix_step_executions_step", "step_executions", ["step", "status"])
