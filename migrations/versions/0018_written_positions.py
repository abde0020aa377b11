"""Where in the write-ahead log the last write of a session or an access key ends, for reads from replicas."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLES = ("sessions", "access_keys")


def upgrade() -> None:
    """Add the columns, which need no rewrite of the tables."""
    for table in TABLES:
        op.add_column(table, sa.Column("written_position", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Remove the columns."""
    for table in TABLES:
        op.drop_column(table, "written_position")
