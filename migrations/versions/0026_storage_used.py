"""What each user was found to store, and a way to find old calls."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.execute("""
        CREATE TABLE storage_used (
            user_id uuid NOT NULL,
            bytes bigint DEFAULT 0 NOT NULL,
            measured_at timestamptz DEFAULT now() NOT NULL,
            wanted_at timestamptz,
            CONSTRAINT pk_storage_used PRIMARY KEY (user_id),
            CONSTRAINT fk_storage_used_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
            CONSTRAINT ck_storage_used_bytes_not_negative CHECK (bytes >= 0)
        )
    """)
    op.execute("CREATE INDEX ix_storage_used_wanted ON storage_used (wanted_at) WHERE wanted_at IS NOT NULL")
    op.execute("CREATE INDEX ix_api_calls_age ON api_calls USING brin (at)")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX ix_api_calls_age")
    op.execute("DROP TABLE storage_used")
