"""The price list by which a version's worst case was reckoned."""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; so far there was one list. The running release does not know the column, and the default is its list."""
    op.execute("ALTER TABLE workflow_versions ADD price_list varchar(40) DEFAULT '2026-11' NOT NULL")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE workflow_versions DROP price_list")
