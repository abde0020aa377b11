"""The mirror of subscriptions, payment methods and invoices."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.execute("""
        CREATE TABLE subscriptions (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            stripe_id varchar(255) NOT NULL,
            user_id uuid NOT NULL,
            customer_id varchar(255) NOT NULL,
            price_id varchar(255) NOT NULL,
            item_id varchar(255) NOT NULL,
            tier varchar(20) NOT NULL,
            grants varchar(20) DEFAULT 'free' NOT NULL,
            status varchar(40) NOT NULL,
            current_period_start timestamptz,
            current_period_end timestamptz,
            cancel_at_period_end boolean DEFAULT false NOT NULL,
            cancel_at timestamptz,
            canceled_at timestamptz,
            ended_at timestamptz,
            trial_end timestamptz,
            past_due_since timestamptz,
            latest_invoice_id varchar(255),
            started_at timestamptz NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_subscriptions PRIMARY KEY (id),
            CONSTRAINT uq_subscriptions_stripe_id UNIQUE (stripe_id),
            CONSTRAINT fk_subscriptions_user_id_users FOREIGN KEY(user_id) REFERENCES users (id),
            CONSTRAINT ck_subscriptions_tier_known CHECK (tier IN ('free', 'premium', 'enterprise')),
            CONSTRAINT ck_subscriptions_grants_known CHECK (grants IN ('free', 'premium', 'enterprise'))
        )
    """)
    op.execute("""
        CREATE INDEX ix_subscriptions_open ON subscriptions (status)
            WHERE status NOT IN ('canceled', 'incomplete_expired')
    """)
    op.execute("CREATE INDEX ix_subscriptions_owned ON subscriptions (user_id, started_at DESC)")
    op.execute("""
        CREATE TABLE payment_methods (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            stripe_id varchar(255) NOT NULL,
            user_id uuid NOT NULL,
            type varchar(40) NOT NULL,
            brand varchar(40),
            last4 varchar(4),
            exp_month integer,
            exp_year integer,
            is_default boolean DEFAULT false NOT NULL,
            removed_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_payment_methods PRIMARY KEY (id),
            CONSTRAINT ck_payment_methods_removed_is_no_default CHECK (removed_at IS NULL OR NOT is_default),
            CONSTRAINT uq_payment_methods_stripe_id UNIQUE (stripe_id),
            CONSTRAINT fk_payment_methods_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
        )
    """)
    op.execute("CREATE INDEX ix_payment_methods_owned ON payment_methods (user_id) WHERE removed_at IS NULL")
    op.execute("CREATE UNIQUE INDEX uq_payment_methods_one_default ON payment_methods (user_id) WHERE is_default")
    op.execute("""
        CREATE TABLE invoices (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            stripe_id varchar(255) NOT NULL,
            user_id uuid NOT NULL,
            number varchar(60),
            description text NOT NULL,
            amount_cents integer NOT NULL,
            currency varchar(3) NOT NULL,
            status varchar(40) NOT NULL,
            billing_reason varchar(60),
            subscription_id varchar(255),
            payment_intent_id varchar(255),
            hosted_url text,
            pdf_url text,
            paid_at timestamptz,
            issued_at timestamptz NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_invoices PRIMARY KEY (id),
            CONSTRAINT uq_invoices_stripe_id UNIQUE (stripe_id),
            CONSTRAINT fk_invoices_user_id_users FOREIGN KEY(user_id) REFERENCES users (id)
        )
    """)
    op.execute("CREATE INDEX ix_invoices_owned ON invoices (user_id, issued_at DESC, id DESC)")
    op.execute("""
        CREATE INDEX ix_invoices_payment_intent ON invoices (payment_intent_id)
            WHERE payment_intent_id IS NOT NULL
    """)
    op.execute("""
        CREATE INDEX ix_invoices_subscription ON invoices (subscription_id)
            WHERE subscription_id IS NOT NULL
    """)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE invoices")
    op.execute("DROP TABLE payment_methods")
    op.execute("DROP TABLE subscriptions")
