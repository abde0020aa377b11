"""What a user's credits did in a span of time, read from an index alone."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.execute("""
        CREATE INDEX ix_credit_transactions_by_time ON credit_transactions (user_id, created_at)
            INCLUDE (type, amount, source)
    """)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX ix_credit_transactions_by_time")
