"""What days came to, and the indexes by which a day's rows are found."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_users_newest": "users (created_at DESC, id DESC)",
    "ix_credit_transactions_newest": "credit_transactions (created_at DESC, id DESC)",
    "ix_workflow_executions_age": "workflow_executions USING brin (created_at) WITH (pages_per_range = 16)",
    "ix_purchases_paid": "purchases (paid_at) WHERE paid_at IS NOT NULL",
    "ix_invoices_paid": "invoices (paid_at) WHERE paid_at IS NOT NULL",
}


def upgrade() -> None:
    """Add them."""
    op.execute("""
        CREATE TABLE daily_figures (
            day date NOT NULL,
            figures jsonb NOT NULL,
            computed_at timestamptz NOT NULL,
            CONSTRAINT pk_daily_figures PRIMARY KEY (day)
        )
    """)
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")


def downgrade() -> None:
    """Drop them."""
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
    op.execute("DROP TABLE daily_figures")
