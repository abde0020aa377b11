"""First answers to requests that carried an Idempotency-Key."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.execute("""
        CREATE TABLE idempotency_keys (
            user_id uuid NOT NULL,
            key varchar(255) NOT NULL,
            fingerprint varchar(64) NOT NULL,
            status integer,
            response jsonb,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_idempotency_keys PRIMARY KEY (user_id, key),
            CONSTRAINT fk_idempotency_keys_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE idempotency_keys")
