"""Where users and subscriptions stood when they were last counted."""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; its one row is the sweep's to write."""
    op.execute("""
        CREATE TABLE business_standing (
            one boolean DEFAULT true NOT NULL,
            figures jsonb NOT NULL,
            counted_at timestamptz NOT NULL,
            CONSTRAINT pk_business_standing PRIMARY KEY (one),
            CONSTRAINT ck_business_standing_one_row CHECK (one)
        )
    """)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE business_standing")
