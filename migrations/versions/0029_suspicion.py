"""Which runs were under way when a worker died, and are watched alone for a moment before they are trusted again."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody is suspected to begin with."""
    op.execute("ALTER TABLE workflow_executions ADD COLUMN suspicion smallint DEFAULT 0 NOT NULL")


def downgrade() -> None:
    """Forget them."""
    op.execute("ALTER TABLE workflow_executions DROP COLUMN suspicion")
