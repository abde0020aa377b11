"""A run may take over the results of an ended one."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember which run that was."""
    op.add_column("workflow_executions", sa.Column("retry_of", sa.Uuid(), nullable=True))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("workflow_executions", "retry_of")
