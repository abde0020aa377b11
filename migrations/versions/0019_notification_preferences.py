"""What users turned off of their notifications, and the keys of links that turn mails off."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "muted_topics",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("topic", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("user_id", "topic", "channel", name="pk_muted_topics"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_muted_topics_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint(
            "topic IN ('run_failed', 'run_finished', 'approval_needed', 'low_balance', 'payment_failed', 'purchase',"
            " 'invoice_upcoming', 'credits_adjusted', 'template_unpublished', 'security')",
            name=op.f("ck_muted_topics_topic_known"),
        ),
        sa.CheckConstraint("channel IN ('email', 'push')", name=op.f("ck_muted_topics_channel_known")),
        sa.CheckConstraint(
            "topic <> 'security' AND (channel = 'push' OR topic NOT IN"
            " ('purchase', 'invoice_upcoming', 'credits_adjusted', 'template_unpublished'))",
            name=op.f("ck_muted_topics_required_stays_on"),
        ),
    )
    op.create_table(
        "unsubscribe_keys",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("user_id", name="pk_unsubscribe_keys"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_unsubscribe_keys_user_id_users", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("unsubscribe_keys")
    op.drop_table("muted_topics")
