"""The page on which a customer's bank asks for their confirmation of a purchase."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("purchases", sa.Column("authentication_url", sa.Text()))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("purchases", "authentication_url")
