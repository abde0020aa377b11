"""Users' own keys for AI providers, encrypted."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.execute("""
        CREATE TABLE provider_api_keys (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            provider varchar(20) NOT NULL,
            key_id varchar(40) NOT NULL,
            nonce bytea NOT NULL,
            ciphertext bytea NOT NULL,
            last4 varchar(4) NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_provider_api_keys PRIMARY KEY (id),
            CONSTRAINT uq_provider_api_keys_user_id_provider UNIQUE (user_id, provider),
            CONSTRAINT fk_provider_api_keys_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
            CONSTRAINT ck_provider_api_keys_provider_known
                CHECK (provider IN ('openclaw', 'openai', 'anthropic', 'google'))
        )
    """)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE provider_api_keys")
