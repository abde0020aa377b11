"""Wallets, and the ledger of their changes, to which rows can only be added."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables. Holds come with the executions that they belong to."""
    op.execute("""
        CREATE TABLE credits (
            user_id uuid NOT NULL,
            balance numeric(14, 2) DEFAULT 0 NOT NULL,
            held numeric(14, 2) DEFAULT 0 NOT NULL,
            version bigint DEFAULT 0 NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_credits PRIMARY KEY (user_id),
            CONSTRAINT fk_credits_user_id_users FOREIGN KEY (user_id) REFERENCES users (id),
            CONSTRAINT ck_credits_held_not_negative CHECK (held >= 0),
            CONSTRAINT ck_credits_version_not_negative CHECK (version >= 0)
        ) WITH (fillfactor = 50)
    """)
    op.execute("""
        CREATE TABLE credit_transactions (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            version bigint NOT NULL,
            key varchar(200) NOT NULL,
            type varchar(20) NOT NULL,
            amount numeric(14, 2) NOT NULL,
            balance_after numeric(14, 2) NOT NULL,
            reason text NOT NULL,
            source varchar(40) NOT NULL,
            execution_id uuid,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_credit_transactions PRIMARY KEY (id),
            CONSTRAINT uq_credit_transactions_key UNIQUE (key),
            CONSTRAINT uq_credit_transactions_no_gap_in_history UNIQUE (user_id, version),
            CONSTRAINT fk_credit_transactions_user_id_users FOREIGN KEY (user_id) REFERENCES users (id),
            CONSTRAINT ck_credit_transactions_type_known CHECK (type IN ('credit', 'debit')),
            CONSTRAINT ck_credit_transactions_amount_positive CHECK (amount > 0)
        )
    """)
    op.execute("""
        CREATE INDEX ix_credit_transactions_execution ON credit_transactions (execution_id)
            WHERE execution_id IS NOT NULL
    """)
    op.execute("""
        CREATE TRIGGER credit_transactions_never_change BEFORE UPDATE OR DELETE ON credit_transactions
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
    op.execute("""
        CREATE TRIGGER credit_transactions_never_vanish BEFORE TRUNCATE ON credit_transactions
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE credit_transactions")
    op.execute("DROP TABLE credits")
