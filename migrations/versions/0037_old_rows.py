"""What is found by its age to be pruned, and all runs that count, whether or not their history is still kept."""

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_stripe_events_handled": "stripe_events (handled_at) WHERE handled_at IS NOT NULL AND raw <> ''::bytea",
    "ix_notifications_told": "notifications (created_at) WHERE status IN ('sent', 'failed') AND payload <> '{}'::jsonb",
    "ix_reconciliation_findings_age": "reconciliation_findings (created_at)",
    "ix_access_keys_expires_at": "access_keys (expires_at) WHERE expires_at IS NOT NULL",
    "ix_receipts_owned": "receipts (user_id, created_at)",
    "ix_receipts_of_workflow": "receipts (workflow_id, created_at)",
    "ix_receipts_age": "receipts (created_at)",
}
COUNTED = "user_id, workflow_id, status, nodes_executed, credits_charged, created_at, started_at, finished_at"


def upgrade() -> None:
    """Add the indexes and the view."""
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")
    op.execute(
        f"CREATE VIEW counted_runs AS SELECT {COUNTED} FROM workflow_executions WHERE expired_at IS NULL"  # noqa: S608  # a constant
        f" UNION ALL SELECT {COUNTED} FROM receipts"
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP VIEW counted_runs")
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
