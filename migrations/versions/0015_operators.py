"""What operators decide: locked accounts, tiers that they grant, and queues that they pause."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
_TIER_KNOWN = "ck_users_granted_tier_known"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("users", sa.Column("locked_at", TIME))
    op.add_column("users", sa.Column("granted_tier", sa.String(20)))
    op.create_check_constraint(op.f(_TIER_KNOWN), "users", "granted_tier IN ('free', 'premium', 'enterprise')")
    op.create_table(
        "paused_queues",
        sa.Column("queue", sa.String(60), nullable=False),
        sa.Column("paused_by", sa.String(200), nullable=False),
        sa.Column("paused_at", TIME, nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("queue", name="pk_paused_queues"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("paused_queues")
    op.drop_constraint(op.f(_TIER_KNOWN), "users")
    op.drop_column("users", "granted_tier")
    op.drop_column("users", "locked_at")
