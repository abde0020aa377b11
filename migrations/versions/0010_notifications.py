"""Notifications to users by mail and push, and alerts to operators."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    _notifications()
    _push()
    _billing_alerts()


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_try_at", TIME, nullable=False, server_default=NOW),
        sa.Column("error", sa.Text),
        sa.Column("sent_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_notifications_user_id_users", ondelete="CASCADE"),
        # The key identifies the event, so that repeating its transaction sends no second message.
        sa.UniqueConstraint("key", "channel", name="uq_notifications_once"),
        sa.CheckConstraint(
            "kind IN ('purchase', 'payment_failed', 'invoice_upcoming', 'run_finished', 'low_balance',"
            " 'approval_needed', 'password_reset', 'password_changed', 'email_changed', 'credits_adjusted',"
            " 'two_factor', 'data_export', 'device_taken', 'email_link', 'email_in_use', 'template_unpublished',"
            " 'account_deleted')",
            name=op.f("ck_notifications_kind_known"),
        ),
        sa.CheckConstraint("channel IN ('email', 'push')", name=op.f("ck_notifications_channel_known")),
        sa.CheckConstraint("(sent_at IS NOT NULL) = (status = 'sent')", name=op.f("ck_notifications_sent_when_sent")),
        sa.CheckConstraint(
            "status IN ('pending', 'sending', 'sent', 'failed')", name=op.f("ck_notifications_status_known")
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_notifications_attempts_not_negative")),
    )
    op.create_index("ix_notifications_owned", "notifications", ["user_id", sa.text("created_at DESC")])
    op.create_index(
        "ix_notifications_open",
        "notifications",
        ["next_try_at"],
        postgresql_where=sa.text("status IN ('pending', 'sending')"),
    )
    op.create_index(
        "ix_notifications_with_payload",
        "notifications",
        ["created_at"],
        postgresql_where=sa.text("status IN ('sent', 'failed') AND payload <> '{}'::jsonb"),
    )


def _push() -> None:
    op.create_table(
        "push_devices",
        sa.Column("token", sa.String(200), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("token", name="pk_push_devices"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_push_devices_user_id_users", ondelete="CASCADE"),
    )
    op.create_index("ix_push_devices_owned", "push_devices", ["user_id"])
    # Tickets of accepted pushes are kept until their receipts were fetched.
    op.create_table(
        "push_tickets",
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("token", sa.String(200), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_push_tickets"),
        sa.ForeignKeyConstraint(
            ["token"], ["push_devices.token"], name="fk_push_tickets_token_push_devices", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_push_tickets_token", "push_tickets", ["token"])
    op.create_index("ix_push_tickets_created_at", "push_tickets", ["created_at"])
    op.create_index("ix_push_tickets_due_at", "push_tickets", ["due_at"])
    op.create_table(
        "push_failures",
        sa.Column("error", sa.String(60), nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("error", name="pk_push_failures"),
    )


def _billing_alerts() -> None:
    op.create_table(
        "billing_alerts",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("kind", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Uuid),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("data", JSONB),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("resolved_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_billing_alerts"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_billing_alerts_user_id_users"),
        sa.UniqueConstraint("key", name="uq_billing_alerts_key"),
    )
    op.create_index(
        "ix_billing_alerts_open", "billing_alerts", ["created_at"], postgresql_where=sa.text("resolved_at IS NULL")
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("billing_alerts")
    op.drop_table("push_failures")
    op.drop_table("push_tickets")
    op.drop_table("push_devices")
    op.drop_table("notifications")
