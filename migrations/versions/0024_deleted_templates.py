"""Deleted templates stay for a while, so that the deletion can be undone."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the time of the deletion, and the index by which they are pruned."""
    op.add_column("templates", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    deleted = sa.text("deleted_at IS NOT NULL")
    op.create_index("ix_templates_deleted", "templates", ["deleted_at"], postgresql_where=deleted)


def downgrade() -> None:
    """Delete them for good, and remove both."""
    op.execute("DELETE FROM templates WHERE deleted_at IS NOT NULL")
    op.drop_index("ix_templates_deleted", table_name="templates")
    op.drop_column("templates", "deleted_at")
