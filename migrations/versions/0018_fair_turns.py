"""Runs of one user take turns: those past their owner's share wait until one of them ends."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLE = "workflow_executions"


def upgrade() -> None:
    """Mark who waits for a turn, and find both those who wait and those who are driven, by owner."""
    op.add_column(TABLE, sa.Column("deferred_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_workflow_executions_driven",
        TABLE,
        ["user_id"],
        postgresql_where=sa.text("status IN ('running', 'cancelling')"),
    )
    op.create_index(
        "ix_workflow_executions_deferred",
        TABLE,
        ["user_id", "created_at", "id"],
        postgresql_where=sa.text("status = 'queued' AND deferred_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Everybody at once again."""
    op.drop_index("ix_workflow_executions_deferred", TABLE)
    op.drop_index("ix_workflow_executions_driven", TABLE)
    op.drop_column(TABLE, "deferred_at")
