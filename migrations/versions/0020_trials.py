"""Trials of single nodes: runs that name the node, and unlisted versions of workflows, which have no number."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

OF_VERSION = "ix_workflow_executions_of_version"
COUNTED = "user_id, workflow_id, status, nodes_executed, credits_charged, created_at, started_at, finished_at{} FROM {}"


def upgrade() -> None:
    """Add the columns, and build the index while runs go on."""
    op.add_column("workflow_executions", sa.Column("tried_node_id", sa.String(64)))
    op.add_column("receipts", sa.Column("tried_node_id", sa.String(64)))
    op.execute(f"CREATE OR REPLACE VIEW counted_runs AS {_counted(', tried_node_id')}")
    op.alter_column("workflow_versions", "number", nullable=True)
    op.create_index(
        "ix_workflow_versions_unlisted",
        "workflow_versions",
        ["created_at"],
        postgresql_where=sa.text("number IS NULL"),
    )
    with op.get_context().autocommit_block():
        op.create_index(OF_VERSION, "workflow_executions", ["version_id"], postgresql_concurrently=True)


def _counted(more: str) -> str:
    stored = COUNTED.format(more, "workflow_executions WHERE expired_at IS NULL")
    return f"SELECT {stored} UNION ALL SELECT {COUNTED.format(more, 'receipts')}"


def downgrade() -> None:
    """Drop them; unlisted versions get numbers that no workflow has, because their runs stay."""
    with op.get_context().autocommit_block():
        op.drop_index(OF_VERSION, "workflow_executions", postgresql_concurrently=True)
    op.drop_index("ix_workflow_versions_unlisted", "workflow_versions")
    op.execute("""
        ALTER TABLE workflow_versions ALTER number TYPE int
            USING coalesce(number, 1000000000 + abs(hashtext(id::text)::bigint) % 1000000000)
    """)
    op.alter_column("workflow_versions", "number", nullable=False)
    op.execute("DROP VIEW counted_runs")
    op.execute(f"CREATE VIEW counted_runs AS {_counted('')}")
    op.drop_column("receipts", "tried_node_id")
    op.drop_column("workflow_executions", "tried_node_id")
