"""Runs have a deadline for their end and one for their start."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

RUNS, WORKFLOWS = "workflow_executions", "workflows"


def upgrade() -> None:
    """Runs that are under way have none."""
    for name in ("deadline_at", "start_by"):
        op.add_column(RUNS, sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    for name in ("timeout", "max_queue_seconds"):
        op.add_column(WORKFLOWS, sa.Column(name, sa.Integer(), nullable=True))
    op.create_check_constraint("ck_workflows_times_positive", WORKFLOWS, "timeout > 0 AND max_queue_seconds > 0")
    op.create_index(
        "ix_workflow_executions_overdue",
        RUNS,
        [sa.text("LEAST(start_by, deadline_at)")],
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def downgrade() -> None:
    """As long as it takes."""
    op.drop_index("ix_workflow_executions_overdue", RUNS)
    op.drop_constraint("ck_workflows_times_positive", WORKFLOWS, type_="check")
    for name in ("timeout", "max_queue_seconds"):
        op.drop_column(WORKFLOWS, name)
    for name in ("deadline_at", "start_by"):
        op.drop_column(RUNS, name)
