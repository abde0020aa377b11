"""Executions of workflows with their nodes and events, and those in quarantine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    _workflow_executions()
    _node_executions()
    _execution_events()
    _quarantined_runs()


def _workflow_executions() -> None:
    op.create_table(
        "workflow_executions",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("workflow_id", sa.Uuid, nullable=False),
        sa.Column("version_id", sa.Uuid, nullable=False),
        # No foreign key: that execution may be pruned, and so may a parent.
        sa.Column("retry_of", sa.Uuid),
        sa.Column("parent_execution_id", sa.Uuid),
        sa.Column("parent_node_id", sa.String(64)),
        sa.Column("parent_path", sa.String(64)),
        sa.Column("parent_attempt", sa.Integer),
        sa.Column("depth", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("workflow_name", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="queued"),
        sa.Column("priority", sa.String(20), nullable=False),
        sa.Column("input", JSONB),
        sa.Column("output", JSONB),
        sa.Column("error", JSONB),
        sa.Column("price_list", sa.String(40), nullable=False),
        sa.Column("credits_cap", sa.Numeric(14, 2), nullable=False),
        sa.Column("credits_charged", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("credits_added", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("nodes_total", sa.Integer, nullable=False),
        sa.Column("nodes_executed", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("progress", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("fuel_spent", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("last_seq", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("epoch", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("deadline_at", TIME),
        sa.Column("start_by", TIME),
        sa.Column("lease_owner", sa.String(200)),
        sa.Column("lease_expires_at", TIME),
        sa.Column("cancel_requested_at", TIME),
        sa.Column("wake_at", TIME),
        sa.Column("waiting_for", JSONB),
        sa.Column("crash_state", sa.String(20), nullable=False, server_default="clear"),
        sa.Column("crash_log", JSONB),
        sa.Column("deferred_at", TIME),
        sa.Column("enqueued_at", TIME),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("kept_until", TIME),
        sa.Column("expired_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_executions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_workflow_executions_user_id_users"),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name="fk_workflow_executions_workflow_id_workflows"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["workflow_versions.id"], name="fk_workflow_executions_version_id_workflow_versions"
        ),
        sa.CheckConstraint(
            "num_nulls(parent_execution_id, parent_node_id, parent_path, parent_attempt) = CASE depth WHEN 0 THEN 4"
            " ELSE 0 END",
            name=op.f("ck_workflow_executions_child_knows_its_parent"),
        ),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (status IN ('success', 'failed', 'cancelled'))",
            name=op.f("ck_workflow_executions_finished_when_over"),
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'waiting', 'cancelling', 'success', 'failed', 'cancelled')",
            name=op.f("ck_workflow_executions_status_known"),
        ),
        sa.CheckConstraint("priority IN ('low', 'normal', 'high')", name=op.f("ck_workflow_executions_priority_known")),
        sa.CheckConstraint(
            "credits_charged BETWEEN 0 AND credits_cap", name=op.f("ck_workflow_executions_charged_within_cap")
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("ck_workflow_executions_progress_is_percentage")),
        sa.CheckConstraint(
            "crash_state IN ('clear', 'suspected', 'isolated', 'killed_once')",
            name=op.f("ck_workflow_executions_crash_state_known"),
        ),
        sa.CheckConstraint(
            "expired_at IS NULL OR finished_at IS NOT NULL", name=op.f("ck_workflow_executions_expired_when_over")
        ),
    )
    op.create_index(
        "ix_workflow_executions_by_status",
        "workflow_executions",
        ["user_id", "status", sa.text("created_at DESC"), sa.text("id DESC")],
    )
    # Parents whose children finished are deferred like queued executions.
    op.create_index(
        "ix_workflow_executions_deferred",
        "workflow_executions",
        ["user_id", "created_at", "id"],
        postgresql_where=sa.text("status IN ('queued', 'waiting') AND deferred_at IS NOT NULL"),
    )
    op.create_index(
        "ix_workflow_executions_driven",
        "workflow_executions",
        ["user_id"],
        postgresql_where=sa.text("status IN ('running', 'cancelling')"),
    )
    op.create_index(
        "ix_workflow_executions_owned",
        "workflow_executions",
        ["user_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )
    # Executions that wait for a new month's quota of API calls, or for a higher tier.
    op.create_index(
        "ix_workflow_executions_quota_exhausted",
        "workflow_executions",
        ["user_id"],
        postgresql_where=sa.text("status = 'waiting' AND waiting_for->'types' ? 'api_calls'"),
    )
    # The status is the last column, so that a rare one is found in the index without reading other rows.
    op.create_index(
        "ix_workflow_executions_of_workflow",
        "workflow_executions",
        ["workflow_id", sa.text("created_at DESC"), sa.text("id DESC"), "status"],
    )
    # One attempt of one step starts one child, however often the start is retried.
    op.create_index(
        "uq_workflow_executions_child",
        "workflow_executions",
        ["parent_execution_id", "parent_node_id", "parent_path", "parent_attempt"],
        unique=True,
        postgresql_where=sa.text("parent_execution_id IS NOT NULL"),
    )
    # The few that are not over: for the sweeps, and for the queue's length.
    op.create_index(
        "ix_workflow_executions_queued",
        "workflow_executions",
        ["priority", "created_at", "id"],
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "ix_workflow_executions_overdue",
        "workflow_executions",
        [sa.text("LEAST(start_by, deadline_at)")],
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "ix_workflow_executions_leased",
        "workflow_executions",
        ["lease_expires_at"],
        postgresql_where=sa.text("lease_expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_workflow_executions_due", "workflow_executions", ["wake_at"], postgresql_where=sa.text("status = 'waiting'")
    )
    # For pruning: executions that ended, those that it keeps for now, and those that it is about to remove.
    op.create_index(
        "ix_workflow_executions_aging",
        "workflow_executions",
        ["finished_at"],
        postgresql_where=sa.text("finished_at IS NOT NULL AND kept_until IS NULL AND expired_at IS NULL"),
    )
    op.create_index(
        "ix_workflow_executions_kept",
        "workflow_executions",
        ["kept_until"],
        postgresql_where=sa.text("kept_until IS NOT NULL AND expired_at IS NULL"),
    )
    op.create_index(
        "ix_workflow_executions_expired",
        "workflow_executions",
        ["expired_at"],
        postgresql_where=sa.text("expired_at IS NOT NULL"),
    )
    # Rows are inserted in the order of time.
    op.create_index(
        "ix_workflow_executions_age",
        "workflow_executions",
        ["created_at"],
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 16},
    )
    # Leaves room for updates in place: most of them touch no index.
    op.execute("ALTER TABLE workflow_executions SET (fillfactor = 80)")


def _node_executions() -> None:
    op.create_table(
        "node_executions",
        sa.Column("execution_id", sa.Uuid, nullable=False),
        sa.Column("node_id", sa.String(64), nullable=False),
        # Indexes of iterations from the outside in, such as 3.0; empty outside of loops.
        sa.Column("path", sa.String(64), nullable=False, server_default=""),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("port", sa.Text),
        sa.Column("output", JSONB),
        sa.Column("error", JSONB),
        sa.Column("credits", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("credits_due", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("external_ref", JSONB),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("execution_id", "node_id", "path", name="pk_node_executions"),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["workflow_executions.id"],
            name="fk_node_executions_execution_id_workflow_executions",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'waiting', 'success', 'failed', 'skipped', 'cancelled')",
            name=op.f("ck_node_executions_status_known"),
        ),
        sa.CheckConstraint("credits >= 0", name=op.f("ck_node_executions_credits_not_negative")),
        sa.CheckConstraint("credits_due >= 0", name=op.f("ck_node_executions_credits_due_not_negative")),
    )
    op.execute("ALTER TABLE node_executions SET (fillfactor = 80)")  # leaves room for updates in place


def _execution_events() -> None:
    op.create_table(
        "execution_events",
        sa.Column("execution_id", sa.Uuid, nullable=False),
        # Counts from 1 without a gap, so that a reader can continue after the last event that it read.
        sa.Column("seq", sa.BigInteger, nullable=False),
        # The time of the statement, not of the transaction, which writes many events.
        sa.Column("at", TIME, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("type", sa.String(60), nullable=False),
        sa.Column("level", sa.String(10), nullable=False, server_default="info"),
        sa.Column("node_id", sa.String(64)),
        sa.Column("path", sa.String(64), nullable=False, server_default=""),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("data", JSONB),
        sa.PrimaryKeyConstraint("execution_id", "seq", name="pk_execution_events"),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["workflow_executions.id"],
            name="fk_execution_events_execution_id_workflow_executions",
            ondelete="CASCADE",
        ),
    )


def _quarantined_runs() -> None:
    # No foreign key to the execution: its history is pruned, this row is not.
    op.create_table(
        "quarantined_runs",
        sa.Column("execution_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("workflow_name", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("crashes", JSONB, nullable=False),
        sa.Column("submitted_at", TIME, nullable=False),
        sa.Column("quarantined_at", TIME, nullable=False, server_default=NOW),
        sa.Column("retried_as", sa.Uuid),
        sa.PrimaryKeyConstraint("execution_id", name="pk_quarantined_runs"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_quarantined_runs_user_id_users"),
    )
    op.create_index(
        "ix_quarantined_runs_open",
        "quarantined_runs",
        [sa.text("quarantined_at DESC")],
        postgresql_where=sa.text("retried_as IS NULL"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("quarantined_runs")
    op.drop_table("execution_events")
    op.drop_table("node_executions")
    op.drop_table("workflow_executions")
