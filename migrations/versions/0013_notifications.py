"""What users and operators are told."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.execute("""
        CREATE TABLE notifications (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            kind varchar(20) NOT NULL,
            channel varchar(20) NOT NULL,
            payload jsonb NOT NULL,
            key varchar(200) NOT NULL,
            status varchar(20) DEFAULT 'pending' NOT NULL,
            attempts integer DEFAULT 0 NOT NULL,
            next_try_at timestamptz DEFAULT now() NOT NULL,
            error text,
            sent_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_notifications PRIMARY KEY (id),
            CONSTRAINT uq_notifications_told_once UNIQUE (key, channel),
            CONSTRAINT ck_notifications_attempts_not_negative CHECK (attempts >= 0),
            CONSTRAINT ck_notifications_sent_when_sent CHECK ((sent_at IS NOT NULL) = (status = 'sent')),
            CONSTRAINT fk_notifications_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
            CONSTRAINT ck_notifications_kind_known
                CHECK (kind IN ('purchase', 'payment_failed', 'invoice_upcoming', 'run_finished', 'low_balance',
                'approval_needed')),
            CONSTRAINT ck_notifications_channel_known CHECK (channel IN ('email', 'push')),
            CONSTRAINT ck_notifications_status_known CHECK (status IN ('pending', 'sending', 'sent', 'failed'))
        )
    """)
    op.execute("""
        CREATE INDEX ix_notifications_open ON notifications (next_try_at)
            WHERE status IN ('pending', 'sending')
    """)
    op.execute("CREATE INDEX ix_notifications_owned ON notifications (user_id, created_at DESC)")
    op.execute("""
        CREATE TABLE push_devices (
            token varchar(200) NOT NULL,
            user_id uuid NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_push_devices PRIMARY KEY (token),
            CONSTRAINT fk_push_devices_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX ix_push_devices_owned ON push_devices (user_id)")
    op.execute("""
        CREATE TABLE billing_alerts (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            kind varchar(60) NOT NULL,
            subject varchar(255) NOT NULL,
            user_id uuid,
            detail text NOT NULL,
            data jsonb,
            key varchar(255) NOT NULL,
            resolved_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_billing_alerts PRIMARY KEY (id),
            CONSTRAINT fk_billing_alerts_user_id_users FOREIGN KEY(user_id) REFERENCES users (id),
            CONSTRAINT uq_billing_alerts_key UNIQUE (key)
        )
    """)
    op.execute("CREATE INDEX ix_billing_alerts_open ON billing_alerts (created_at) WHERE resolved_at IS NULL")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE billing_alerts")
    op.execute("DROP TABLE push_devices")
    op.execute("DROP TABLE notifications")
