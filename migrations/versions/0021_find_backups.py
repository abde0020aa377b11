"""The last backup is found in the audit log by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NAME = "ix_audit_log_backups"


def upgrade() -> None:
    """Build the index, which has a row a day, without blocking writes."""
    with op.get_context().autocommit_block():
        op.create_index(
            NAME,
            "audit_log",
            [sa.text("created_at DESC")],
            postgresql_where=sa.text("action = 'database.backed_up'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    """Remove the index."""
    with op.get_context().autocommit_block():
        op.drop_index(NAME, table_name="audit_log", postgresql_concurrently=True, if_exists=True)
