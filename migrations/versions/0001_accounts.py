"""Accounts: users, their sessions and second factors, links sent by mail, access keys and provider keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BASELINE = "agentforge 2026-11-30"  # marks databases of these migrations; earlier ones had the same numbers
TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    op.execute(f"COMMENT ON TABLE alembic_version IS '{BASELINE}'")
    _users()
    _sessions()
    _password_resets()
    _email_links()
    _two_factor()
    _access_keys()
    _provider_api_keys()
    _former_addresses()


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email_verified_at", TIME),
        sa.Column("pending_email", sa.String(254)),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.String(20), nullable=False, server_default="user"),
        sa.Column("subscription_tier", sa.String(20), nullable=False, server_default="free"),
        # Each session stores the epoch in which it began, so raising this ends all sessions of the user.
        sa.Column("token_epoch", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("stripe_customer_id", sa.String(255)),
        # Part of the idempotency key of the next customer: it must change after Stripe deleted one or stored a failure.
        sa.Column("stripe_customers_lost", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("deleted_at", TIME),
        sa.Column("erased_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("stripe_customer_id", name="uq_users_stripe_customer_id"),
        sa.CheckConstraint("role IN ('user', 'admin')", name=op.f("ck_users_role_known")),
        sa.CheckConstraint("subscription_tier IN ('free', 'premium', 'enterprise')", name=op.f("ck_users_tier_known")),
        sa.CheckConstraint("token_epoch >= 0", name=op.f("ck_users_token_epoch_not_negative")),
        sa.CheckConstraint("erased_at IS NULL OR deleted_at IS NOT NULL", name=op.f("ck_users_erased_when_deleted")),
    )
    # Folds only A to Z, so that one address is one account under every locale of the database.
    op.create_index("uq_users_email", "users", [sa.text('lower(email COLLATE "C")')], unique=True)
    op.create_index(
        "ix_users_to_erase",
        "users",
        ["deleted_at"],
        postgresql_where=sa.text("deleted_at IS NOT NULL AND erased_at IS NULL"),
    )
    op.create_index("ix_users_newest", "users", [sa.text("created_at DESC"), sa.text("id DESC")])


def _sessions() -> None:
    # A session ends by being deleted, so no list of revoked tokens is kept.
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("refreshed_at", sa.ARRAY(TIME), nullable=False, server_default="{}"),
        sa.Column("last_seen_at", TIME, nullable=False, server_default=NOW),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("user_agent", sa.String(300)),
        sa.Column("address", INET),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("generation >= 0", name=op.f("ck_sessions_generation_not_negative")),
    )
    op.create_index("ix_sessions_owned", "sessions", ["user_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _password_resets() -> None:
    op.create_table(
        "password_resets",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("address", INET),
        # NULL until a worker found the user: a request does the same work for known and unknown addresses.
        sa.Column("user_id", sa.Uuid),
        sa.Column("token_hash", sa.LargeBinary),
        sa.Column("expires_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_password_resets"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_password_resets_user_id_users", ondelete="CASCADE"),
        sa.UniqueConstraint("token_hash", name="uq_password_resets_token_hash"),
        sa.CheckConstraint(
            "(token_hash IS NULL) = (expires_at IS NULL)", name=op.f("ck_password_resets_token_expires")
        ),
    )
    op.create_index("ix_password_resets_owned", "password_resets", ["user_id", sa.text("created_at DESC")])
    op.create_index("ix_password_resets_created_at", "password_resets", ["created_at"])
    op.create_index(
        "ix_password_resets_new", "password_resets", ["created_at"], postgresql_where=sa.text("user_id IS NULL")
    )


def _email_links() -> None:
    op.create_table(
        "email_links",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("token_hash", sa.LargeBinary),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("closed_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_email_links"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_email_links_user_id_users", ondelete="CASCADE"),
        sa.UniqueConstraint("token_hash", name="uq_email_links_token_hash"),
        sa.CheckConstraint("purpose IN ('verify', 'undo')", name=op.f("ck_email_links_purpose_known")),
    )
    op.create_index("ix_email_links_owned", "email_links", ["user_id", "created_at"])
    op.create_index("ix_email_links_address", "email_links", [sa.text('lower(email COLLATE "C")'), "created_at"])
    op.create_index("ix_email_links_created_at", "email_links", ["created_at"])


def _two_factor() -> None:
    op.create_table(
        "two_factor",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
        sa.Column("confirmed_at", TIME),
        sa.Column("last_step", sa.BigInteger),
        sa.Column("recovery_hashes", sa.ARRAY(sa.LargeBinary), nullable=False, server_default="{}"),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("failed_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("user_id", name="pk_two_factor"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_two_factor_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_two_factor_failures_not_negative")),
    )


def _access_keys() -> None:
    op.create_table(
        "access_keys",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("last4", sa.String(4), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.String(40)), nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("last_used_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_access_keys"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_access_keys_user_id_users", ondelete="CASCADE"),
        sa.UniqueConstraint("secret_hash", name="uq_access_keys_secret_hash"),
        sa.CheckConstraint("cardinality(scopes) > 0", name=op.f("ck_access_keys_allows_something")),
    )
    op.create_index("ix_access_keys_owned", "access_keys", ["user_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index(
        "ix_access_keys_expires_at", "access_keys", ["expires_at"], postgresql_where=sa.text("expires_at IS NOT NULL")
    )


def _provider_api_keys() -> None:
    op.create_table(
        "provider_api_keys",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("provider", sa.String(20), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
        sa.Column("last4", sa.String(4), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="testing"),
        sa.Column("tested_at", TIME),
        sa.Column("last_used_at", TIME),
        sa.Column("enqueued_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_provider_api_keys"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_provider_api_keys_user_id_users", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("user_id", "provider", name="uq_provider_api_keys_user_id_provider"),
        sa.CheckConstraint(
            "provider IN ('openclaw', 'openai', 'anthropic', 'google')",
            name=op.f("ck_provider_api_keys_provider_known"),
        ),
        sa.CheckConstraint(
            "status IN ('testing', 'valid', 'invalid', 'unreachable')", name=op.f("ck_provider_api_keys_status_known")
        ),
    )
    op.create_index("ix_provider_api_keys_key_id", "provider_api_keys", ["key_id"])
    op.create_index(
        "ix_provider_api_keys_testing",
        "provider_api_keys",
        ["updated_at"],
        postgresql_where=sa.text("status = 'testing'"),
    )


def _former_addresses() -> None:
    # Only hashes: a deleted account's address gets no second welcome bonus, and is not stored.
    op.create_table(
        "former_addresses",
        sa.Column("address_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("address_hash", name="pk_former_addresses"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("former_addresses")
    op.drop_table("provider_api_keys")
    op.drop_table("access_keys")
    op.drop_table("two_factor")
    op.drop_table("email_links")
    op.drop_table("password_resets")
    op.drop_table("sessions")
    op.drop_table("users")
