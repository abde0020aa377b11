"""Schedules of workflows, and the runs that they start."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")
ONCE, RUNS = "uq_workflow_executions_scheduled", "ix_workflow_executions_of_schedule"
KINDS = (
    *("purchase", "payment_failed", "invoice_upcoming", "run_finished", "low_balance", "approval_needed"),
    *("password_reset", "password_changed", "email_changed", "credits_adjusted", "two_factor", "data_export"),
    *("device_taken", "email_link", "email_in_use", "template_unpublished", "account_deleted"),
)
TOPICS = (
    *("run_failed", "run_finished", "approval_needed", "low_balance", "payment_failed", "purchase"),
    *("invoice_upcoming", "credits_adjusted", "template_unpublished", "security"),
)
STOPPED = "schedule_stopped"  # a kind of notifications, and their topic


def upgrade() -> None:
    """Add the table and the columns, and build the indexes of runs while runs go on."""
    _workflow_schedules()
    _allow("notifications", "kind", *KINDS, STOPPED)
    _allow("muted_topics", "topic", *TOPICS, STOPPED)
    op.add_column("workflow_executions", sa.Column("schedule_id", sa.Uuid))
    op.add_column("workflow_executions", sa.Column("scheduled_for", TIME))
    scheduled = {"postgresql_where": sa.text("schedule_id IS NOT NULL"), "postgresql_concurrently": True}
    with op.get_context().autocommit_block():
        op.create_index(ONCE, "workflow_executions", ["schedule_id", "scheduled_for"], unique=True, **scheduled)
        newest = ["schedule_id", sa.text("created_at DESC"), sa.text("id DESC")]
        op.create_index(RUNS, "workflow_executions", newest, **scheduled)


def _workflow_schedules() -> None:
    op.create_table(
        "workflow_schedules",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("workflow_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False, server_default=""),
        sa.Column("cron", sa.String(100), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("input", JSONB),
        sa.Column("max_credits", sa.Numeric(14, 2)),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("next_run_at", TIME),
        sa.Column("last_run_at", TIME),
        sa.Column("last_execution_id", sa.Uuid),
        sa.Column("last_error", JSONB),
        sa.Column("refusals", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_schedules"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_workflow_schedules_user_id_users"),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name="fk_workflow_schedules_workflow_id_workflows"),
        sa.CheckConstraint("(next_run_at IS NOT NULL) = enabled", name=op.f("ck_workflow_schedules_due_when_enabled")),
        sa.CheckConstraint("refusals >= 0", name=op.f("ck_workflow_schedules_refusals_not_negative")),
    )
    owned = ["user_id", sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index("ix_workflow_schedules_owned", "workflow_schedules", owned)
    op.create_index("ix_workflow_schedules_of_workflow", "workflow_schedules", ["workflow_id"])
    enabled = sa.text("next_run_at IS NOT NULL")
    op.create_index("ix_workflow_schedules_due", "workflow_schedules", ["next_run_at", "id"], postgresql_where=enabled)


def _allow(table: str, column: str, *values: str) -> None:
    """Replace the constraint; rows that are there are checked without a lock that blocks others."""
    name, listed = f"ck_{table}_{column}_known", ", ".join(f"'{value}'" for value in values)
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IN ({listed})) NOT VALID")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Drop them, and the messages about schedules."""
    with op.get_context().autocommit_block():
        for name in (RUNS, ONCE):
            op.drop_index(name, "workflow_executions", postgresql_concurrently=True)
    op.drop_column("workflow_executions", "scheduled_for")
    op.drop_column("workflow_executions", "schedule_id")
    for table, column, values in (("muted_topics", "topic", TOPICS), ("notifications", "kind", KINDS)):
        op.execute(f"DELETE FROM {table} WHERE {column} = '{STOPPED}'")  # noqa: S608  # constants
        _allow(table, column, *values)
    op.drop_table("workflow_schedules")
