"""Users publish templates of their own; everybody sees how often one was used."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLE = "templates"


def upgrade() -> None:
    """Add the columns."""
    op.add_column(TABLE, sa.Column("uses", sa.Integer(), server_default=sa.text("0"), nullable=False))
    now = sa.text("now()")
    op.add_column(TABLE, sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False))


def downgrade() -> None:
    """Drop them."""
    op.drop_column(TABLE, "updated_at")
    op.drop_column(TABLE, "uses")
