"""Password resets, and mails about what happened to an account."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

KINDS = "'purchase', 'payment_failed', 'invoice_upcoming', 'run_finished', 'low_balance', 'approval_needed'"
NEW = "'password_reset', 'password_changed', 'email_changed'"


def upgrade() -> None:
    """Add the table and the kinds."""
    op.execute("""
        CREATE TABLE password_resets (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            email varchar(254) NOT NULL,
            address inet,
            user_id uuid,
            token_hash bytea,
            expires_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_password_resets PRIMARY KEY (id),
            CONSTRAINT uq_password_resets_token_hash UNIQUE (token_hash),
            CONSTRAINT ck_password_resets_token_expires CHECK ((token_hash IS NULL) = (expires_at IS NULL)),
            CONSTRAINT fk_password_resets_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX ix_password_resets_owned ON password_resets (user_id, created_at DESC)")
    op.execute("CREATE INDEX ix_password_resets_new ON password_resets (created_at) WHERE user_id IS NULL")
    op.execute("CREATE INDEX ix_password_resets_created_at ON password_resets (created_at)")
    _allow(f"{KINDS}, {NEW}")


def downgrade() -> None:
    """Drop it, and the mails of these kinds."""
    op.execute("DROP TABLE password_resets")
    op.execute(f"DELETE FROM notifications WHERE kind IN ({NEW})")  # noqa: S608  # two constants
    _allow(KINDS)


def _allow(kinds: str) -> None:
    op.execute("ALTER TABLE notifications DROP CONSTRAINT ck_notifications_kind_known")
    op.execute(f"ALTER TABLE notifications ADD CONSTRAINT ck_notifications_kind_known CHECK (kind IN ({kinds}))")
