"""Sessions: families of tokens. They end by being deleted, so no list of ended tokens is needed any more.

Nobody stays signed in across this revision, because a token now names its session.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and drop the one that it replaces."""
    op.execute("""
        CREATE TABLE sessions (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            epoch integer NOT NULL,
            generation integer DEFAULT 0 NOT NULL,
            refreshed_at timestamptz[] DEFAULT '{}' NOT NULL,
            last_seen_at timestamptz DEFAULT now() NOT NULL,
            expires_at timestamptz NOT NULL,
            user_agent varchar(300),
            address inet,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_sessions PRIMARY KEY (id),
            CONSTRAINT ck_sessions_generation_not_negative CHECK (generation >= 0),
            CONSTRAINT fk_sessions_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX ix_sessions_owned ON sessions (user_id, created_at DESC, id DESC)")
    op.execute("CREATE INDEX ix_sessions_expires_at ON sessions (expires_at)")
    op.execute("DROP TABLE revoked_tokens")


def downgrade() -> None:
    """Back to a list of tokens that no longer count."""
    op.execute("""
        CREATE TABLE revoked_tokens (
            jti uuid NOT NULL,
            user_id uuid NOT NULL,
            expires_at timestamptz NOT NULL,
            revoked_at timestamptz DEFAULT now() NOT NULL,
            works_until timestamptz NOT NULL,
            CONSTRAINT pk_revoked_tokens PRIMARY KEY (jti),
            CONSTRAINT fk_revoked_tokens_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX ix_revoked_tokens_expires_at ON revoked_tokens (expires_at)")
    op.execute("DROP TABLE sessions")
