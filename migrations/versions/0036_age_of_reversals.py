"""What went back on a day is found without reading all that ever went back."""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes; the tables are small."""
    op.execute("CREATE INDEX ix_refunds_age ON refunds (created_at)")
    op.execute("CREATE INDEX ix_disputes_age ON disputes (created_at)")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX ix_disputes_age")
    op.execute("DROP INDEX ix_refunds_age")
