"""Workers tell how many calls they may have under way at each provider, have, and let wait."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; workers of the version before leave it empty."""
    op.add_column("workers", sa.Column("calls", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("workers", "calls")
