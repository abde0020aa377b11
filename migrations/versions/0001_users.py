"""Users, and tokens that no longer count."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.execute("""
        CREATE TABLE users (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            email varchar(254) NOT NULL,
            name varchar(200) NOT NULL,
            password_hash text NOT NULL,
            role varchar(20) DEFAULT 'user' NOT NULL,
            subscription_tier varchar(20) DEFAULT 'free' NOT NULL,
            token_epoch integer DEFAULT 0 NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_users PRIMARY KEY (id),
            CONSTRAINT ck_users_role_known CHECK (role IN ('user', 'admin')),
            CONSTRAINT ck_users_tier_known CHECK (subscription_tier IN ('free', 'premium', 'enterprise')),
            CONSTRAINT ck_users_token_epoch_not_negative CHECK (token_epoch >= 0)
        )
    """)
    op.execute("CREATE UNIQUE INDEX uq_users_email ON users (lower(email))")
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


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE revoked_tokens")
    op.execute("DROP TABLE users")
