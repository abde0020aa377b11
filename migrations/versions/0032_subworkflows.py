"""Runs that run other workflows: parents wait for their children, which know them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

RUNS, VERSIONS = "workflow_executions", "workflow_versions"
DEFERRED = ("ix_workflow_executions_deferred", RUNS, ["user_id", "created_at", "id"])


def upgrade() -> None:
    """Add whose child a run is, what its owner added to its credits, and what a version calls.

    Parents that were woken take turns too, so the index of those who wait for one holds them.
    """
    op.add_column(RUNS, sa.Column("parent_execution_id", sa.Uuid(), nullable=True))
    op.add_column(RUNS, sa.Column("parent_node_id", sa.String(64), nullable=True))
    op.add_column(RUNS, sa.Column("parent_path", sa.String(64), nullable=True))
    op.add_column(RUNS, sa.Column("parent_attempt", sa.Integer(), nullable=True))
    op.add_column(RUNS, sa.Column("depth", sa.Integer(), server_default="0", nullable=False))
    op.add_column(RUNS, sa.Column("credits_added", sa.Numeric(14, 2), server_default="0", nullable=False))
    op.add_column(VERSIONS, sa.Column("calls", JSONB(), server_default="[]", nullable=False))
    op.create_check_constraint(
        "ck_workflow_executions_child_knows_its_parent",
        RUNS,
        "num_nulls(parent_execution_id, parent_node_id, parent_path, parent_attempt)"
        " = CASE depth WHEN 0 THEN 4 ELSE 0 END",
    )
    op.create_index(
        "uq_workflow_executions_child",
        RUNS,
        ["parent_execution_id", "parent_node_id", "parent_path", "parent_attempt"],
        unique=True,
        postgresql_where=sa.text("parent_execution_id IS NOT NULL"),
    )
    op.drop_index(DEFERRED[0], RUNS)
    op.create_index(*DEFERRED, postgresql_where=sa.text("status IN ('queued', 'waiting') AND deferred_at IS NOT NULL"))


def downgrade() -> None:
    """Every run for itself."""
    op.drop_index(DEFERRED[0], RUNS)
    op.create_index(*DEFERRED, postgresql_where=sa.text("status = 'queued' AND deferred_at IS NOT NULL"))
    op.drop_index("uq_workflow_executions_child", RUNS)
    op.drop_constraint("ck_workflow_executions_child_knows_its_parent", RUNS, type_="check")
    op.drop_column(VERSIONS, "calls")
    for name in ("credits_added", "depth", "parent_attempt", "parent_path", "parent_node_id", "parent_execution_id"):
        op.drop_column(RUNS, name)
