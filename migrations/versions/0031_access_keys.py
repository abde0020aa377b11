"""Access keys of programs."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.execute("""
        CREATE TABLE access_keys (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            name varchar(100) NOT NULL,
            secret_hash bytea NOT NULL,
            last4 varchar(4) NOT NULL,
            scopes varchar(40)[] NOT NULL,
            expires_at timestamptz,
            last_used_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_access_keys PRIMARY KEY (id),
            CONSTRAINT uq_access_keys_secret_hash UNIQUE (secret_hash),
            CONSTRAINT ck_access_keys_allows_something CHECK (cardinality(scopes) > 0),
            CONSTRAINT fk_access_keys_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX ix_access_keys_owned ON access_keys (user_id, created_at DESC, id DESC)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE access_keys")
