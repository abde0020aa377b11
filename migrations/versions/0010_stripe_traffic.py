"""What goes to Stripe and what comes from there."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and the customer that a user is at Stripe."""
    op.execute("ALTER TABLE users ADD COLUMN stripe_customer_id varchar(255)")
    op.execute("ALTER TABLE users ADD COLUMN stripe_customers_lost integer DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE users ADD CONSTRAINT uq_users_stripe_customer_id UNIQUE (stripe_customer_id)")
    op.execute("""
        CREATE TABLE stripe_events (
            id varchar(255) NOT NULL,
            type varchar(100) NOT NULL,
            api_version varchar(60),
            created timestamptz NOT NULL,
            livemode boolean NOT NULL,
            raw bytea NOT NULL,
            status varchar(20) DEFAULT 'received' NOT NULL,
            attempts integer DEFAULT 0 NOT NULL,
            begun_at timestamptz,
            next_try_at timestamptz,
            rung_at timestamptz,
            error text,
            received_at timestamptz DEFAULT now() NOT NULL,
            handled_at timestamptz,
            CONSTRAINT pk_stripe_events PRIMARY KEY (id),
            CONSTRAINT ck_stripe_events_attempts_not_negative CHECK (attempts >= 0),
            CONSTRAINT ck_stripe_events_handled_when_over
                CHECK ((handled_at IS NOT NULL) = (status IN ('done', 'ignored'))),
            CONSTRAINT ck_stripe_events_dead_says_why CHECK (status <> 'dead' OR error IS NOT NULL),
            CONSTRAINT ck_stripe_events_status_known
                CHECK (status IN ('received', 'waiting', 'done', 'ignored', 'dead'))
        )
    """)
    op.execute("CREATE INDEX ix_stripe_events_created ON stripe_events (created)")
    op.execute("CREATE INDEX ix_stripe_events_dead ON stripe_events (received_at) WHERE status = 'dead'")
    op.execute("""
        CREATE INDEX ix_stripe_events_open ON stripe_events (received_at)
            WHERE status IN ('received', 'waiting')
    """)
    op.execute("""
        CREATE TABLE stripe_requests (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            user_id uuid NOT NULL,
            kind varchar(40) NOT NULL,
            subject_id uuid,
            params jsonb NOT NULL,
            key varchar(255) NOT NULL,
            attempt integer DEFAULT 1 NOT NULL,
            attempt_started_at timestamptz,
            status varchar(20) DEFAULT 'pending' NOT NULL,
            tries integer DEFAULT 0 NOT NULL,
            answer jsonb,
            error jsonb,
            last_error varchar(500),
            started_at timestamptz,
            finished_at timestamptz,
            next_try_at timestamptz,
            rung_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_stripe_requests PRIMARY KEY (id),
            CONSTRAINT ck_stripe_requests_attempt_counts_from_one CHECK (attempt >= 1),
            CONSTRAINT ck_stripe_requests_tries_not_negative CHECK (tries >= 0),
            CONSTRAINT ck_stripe_requests_finished_when_over
                CHECK ((finished_at IS NOT NULL) = (status IN ('done', 'failed'))),
            CONSTRAINT ck_stripe_requests_done_has_answer CHECK (status <> 'done' OR answer IS NOT NULL),
            CONSTRAINT ck_stripe_requests_failed_says_why CHECK ((status = 'failed') = (error IS NOT NULL)),
            CONSTRAINT fk_stripe_requests_user_id_users FOREIGN KEY(user_id) REFERENCES users (id),
            CONSTRAINT ck_stripe_requests_kind_known
                CHECK (kind IN ('purchase', 'subscription_create', 'subscription_update', 'subscription_cancel',
                'subscription_resume', 'payment_method_add', 'payment_method_default', 'payment_method_remove')),
            CONSTRAINT uq_stripe_requests_key UNIQUE (key),
            CONSTRAINT ck_stripe_requests_status_known CHECK (status IN ('pending', 'working', 'done', 'failed'))
        )
    """)
    op.execute("""
        CREATE INDEX ix_stripe_requests_open ON stripe_requests (created_at)
            WHERE status IN ('pending', 'working')
    """)
    op.execute("CREATE INDEX ix_stripe_requests_owned ON stripe_requests (user_id, created_at DESC)")
    op.execute("CREATE INDEX ix_stripe_requests_subject ON stripe_requests (subject_id) WHERE subject_id IS NOT NULL")
    op.execute("""
        CREATE UNIQUE INDEX uq_stripe_requests_one_subscription ON stripe_requests (user_id)
            WHERE kind = 'subscription_create' AND status IN ('pending', 'working')
    """)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE stripe_requests")
    op.execute("DROP TABLE stripe_events")
    op.execute("ALTER TABLE users DROP COLUMN stripe_customers_lost")
    op.execute("ALTER TABLE users DROP COLUMN stripe_customer_id")
