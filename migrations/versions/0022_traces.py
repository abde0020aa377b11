"""The span that caused a run, with which its trace goes on in workers."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which needs no rewrite of the table."""
    op.add_column("workflow_executions", sa.Column("traceparent", sa.String(55)))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("workflow_executions", "traceparent")
