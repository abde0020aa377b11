"""The id of the request that caused a run, a request to Stripe, or the receipt of an event."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = ("workflow_executions", "stripe_requests", "stripe_events")


def upgrade() -> None:
    """Add the columns, which need no rewrite of the tables."""
    for table in TABLES:
        op.add_column(table, sa.Column("request_id", sa.String(64)))


def downgrade() -> None:
    """Remove the columns."""
    for table in TABLES:
        op.drop_column(table, "request_id")
