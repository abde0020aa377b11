"""Purchases of credits, and the refunds and disputes that take them back."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and the purchase that a transaction belongs to."""
    op.execute("ALTER TABLE credit_transactions ADD COLUMN purchase_id uuid")
    op.execute("""
        CREATE INDEX ix_credit_transactions_purchase ON credit_transactions (purchase_id)
            WHERE purchase_id IS NOT NULL
    """)
    op.execute("""
        CREATE TABLE purchases (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            package_id varchar(40) NOT NULL,
            credits numeric(14, 2) NOT NULL,
            bonus numeric(14, 2) NOT NULL,
            amount_cents integer NOT NULL,
            currency varchar(3) NOT NULL,
            price_list varchar(40) NOT NULL,
            status varchar(20) DEFAULT 'pending' NOT NULL,
            payment_method_id varchar(255),
            payment_intent_id varchar(255),
            customer_id varchar(255),
            client_secret text,
            failure jsonb,
            credits_taken numeric(14, 2) DEFAULT 0 NOT NULL,
            paid_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_purchases PRIMARY KEY (id),
            CONSTRAINT ck_purchases_credits_positive CHECK (credits > 0 AND bonus >= 0),
            CONSTRAINT ck_purchases_amount_positive CHECK (amount_cents > 0),
            CONSTRAINT ck_purchases_taken_within_grant CHECK (credits_taken BETWEEN 0 AND credits + bonus),
            CONSTRAINT ck_purchases_taken_after_grant CHECK (status = 'succeeded' OR credits_taken = 0),
            CONSTRAINT ck_purchases_paid_when_succeeded
                CHECK (CASE status WHEN 'succeeded' THEN paid_at IS NOT NULL AND payment_intent_id IS NOT NULL ELSE
                paid_at IS NULL END),
            CONSTRAINT fk_purchases_user_id_users FOREIGN KEY(user_id) REFERENCES users (id),
            CONSTRAINT ck_purchases_status_known
                CHECK (status IN ('pending', 'requires_action', 'processing', 'succeeded', 'failed', 'canceled',
                'review')),
            CONSTRAINT uq_purchases_payment_intent_id UNIQUE (payment_intent_id)
        )
    """)
    op.execute("""
        CREATE INDEX ix_purchases_open ON purchases (created_at)
            WHERE status IN ('pending', 'requires_action', 'processing', 'failed', 'review')
    """)
    op.execute("CREATE INDEX ix_purchases_owned ON purchases (user_id, created_at DESC, id DESC)")
    op.execute("""
        CREATE TABLE refunds (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            failure_reason text,
            stripe_id varchar(255) NOT NULL,
            purchase_id uuid NOT NULL,
            charge_id varchar(255),
            amount_cents integer NOT NULL,
            currency varchar(3) NOT NULL,
            status varchar(40) NOT NULL,
            reason text,
            counted_cents integer DEFAULT 0 NOT NULL,
            rounds integer DEFAULT 0 NOT NULL,
            issued_at timestamptz NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_refunds PRIMARY KEY (id),
            CONSTRAINT ck_refunds_amount_positive CHECK (amount_cents > 0),
            CONSTRAINT ck_refunds_counted_whole_or_not CHECK (counted_cents IN (0, amount_cents)),
            CONSTRAINT uq_refunds_stripe_id UNIQUE (stripe_id),
            CONSTRAINT fk_refunds_purchase_id_purchases FOREIGN KEY(purchase_id) REFERENCES purchases (id)
        )
    """)
    op.execute("CREATE INDEX ix_refunds_purchase ON refunds (purchase_id)")
    op.execute("""
        CREATE TABLE disputes (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            stripe_id varchar(255) NOT NULL,
            purchase_id uuid NOT NULL,
            charge_id varchar(255),
            amount_cents integer NOT NULL,
            currency varchar(3) NOT NULL,
            status varchar(40) NOT NULL,
            reason text,
            counted_cents integer DEFAULT 0 NOT NULL,
            rounds integer DEFAULT 0 NOT NULL,
            issued_at timestamptz NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_disputes PRIMARY KEY (id),
            CONSTRAINT ck_disputes_amount_not_negative CHECK (amount_cents >= 0),
            CONSTRAINT ck_disputes_counted_not_negative CHECK (counted_cents >= 0),
            CONSTRAINT uq_disputes_stripe_id UNIQUE (stripe_id),
            CONSTRAINT fk_disputes_purchase_id_purchases FOREIGN KEY(purchase_id) REFERENCES purchases (id)
        )
    """)
    op.execute("CREATE INDEX ix_disputes_purchase ON disputes (purchase_id)")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE disputes")
    op.execute("DROP TABLE refunds")
    op.execute("DROP TABLE purchases")
    op.execute("DROP INDEX ix_credit_transactions_purchase")
    op.execute("ALTER TABLE credit_transactions DROP COLUMN purchase_id")
