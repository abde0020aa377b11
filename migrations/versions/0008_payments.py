"""Money: purchases with their refunds and disputes, and copies of Stripe's objects of each customer."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    _purchases()
    _refunds()
    _disputes()
    _subscriptions()
    _payment_methods()
    _invoices()


def _purchases() -> None:
    op.create_table(
        "purchases",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("package_id", sa.String(40), nullable=False),
        sa.Column("credits", sa.Numeric(14, 2), nullable=False),
        sa.Column("bonus", sa.Numeric(14, 2), nullable=False),
        sa.Column("amount_cents", sa.Integer, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("price_list", sa.String(40), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="pending"),
        sa.Column("payment_method_id", sa.String(255)),
        sa.Column("payment_intent_id", sa.String(255)),
        sa.Column("customer_id", sa.String(255)),
        sa.Column("client_secret", sa.Text),
        sa.Column("failure", JSONB),
        sa.Column("credits_taken", sa.Numeric(14, 2), nullable=False, server_default=sa.text("0")),
        sa.Column("paid_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_purchases"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_purchases_user_id_users"),
        sa.UniqueConstraint("payment_intent_id", name="uq_purchases_payment_intent_id"),
        sa.CheckConstraint("credits > 0 AND bonus >= 0", name=op.f("ck_purchases_credits_positive")),
        sa.CheckConstraint("credits_taken BETWEEN 0 AND credits + bonus", name=op.f("ck_purchases_taken_within_grant")),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_purchases_amount_positive")),
        sa.CheckConstraint(
            "CASE status WHEN 'succeeded' THEN paid_at IS NOT NULL AND payment_intent_id IS NOT NULL ELSE paid_at IS"
            " NULL END",
            name=op.f("ck_purchases_paid_when_succeeded"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'requires_action', 'processing', 'succeeded', 'failed', 'canceled', 'review')",
            name=op.f("ck_purchases_status_known"),
        ),
        sa.CheckConstraint("status = 'succeeded' OR credits_taken = 0", name=op.f("ck_purchases_taken_after_grant")),
    )
    op.create_index("ix_purchases_owned", "purchases", ["user_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index("ix_purchases_paid", "purchases", ["paid_at"], postgresql_where=sa.text("paid_at IS NOT NULL"))
    op.create_index(
        "ix_purchases_open",
        "purchases",
        ["created_at"],
        postgresql_where=sa.text("status IN ('pending', 'requires_action', 'processing', 'failed', 'review')"),
    )


def _refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("stripe_id", sa.String(255), nullable=False),
        sa.Column("purchase_id", sa.Uuid, nullable=False),
        sa.Column("charge_id", sa.String(255)),
        sa.Column("amount_cents", sa.Integer, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("failure_reason", sa.Text),
        sa.Column("counted_cents", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("rounds", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("issued_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_refunds"),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchases.id"], name="fk_refunds_purchase_id_purchases"),
        sa.UniqueConstraint("stripe_id", name="uq_refunds_stripe_id"),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_refunds_amount_positive")),
        sa.CheckConstraint("counted_cents IN (0, amount_cents)", name=op.f("ck_refunds_counted_whole_or_not")),
    )
    op.create_index("ix_refunds_purchase", "refunds", ["purchase_id"])
    op.create_index("ix_refunds_age", "refunds", ["created_at"])


def _disputes() -> None:
    op.create_table(
        "disputes",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("stripe_id", sa.String(255), nullable=False),
        sa.Column("purchase_id", sa.Uuid, nullable=False),
        sa.Column("charge_id", sa.String(255)),
        sa.Column("amount_cents", sa.Integer, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("counted_cents", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("rounds", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("issued_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_disputes"),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchases.id"], name="fk_disputes_purchase_id_purchases"),
        sa.UniqueConstraint("stripe_id", name="uq_disputes_stripe_id"),
        sa.CheckConstraint("amount_cents >= 0", name=op.f("ck_disputes_amount_not_negative")),
        # Not limited by the amount, which may change while the dispute is open.
        sa.CheckConstraint("counted_cents >= 0", name=op.f("ck_disputes_counted_not_negative")),
    )
    op.create_index("ix_disputes_purchase", "disputes", ["purchase_id"])
    op.create_index("ix_disputes_age", "disputes", ["created_at"])


def _subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("stripe_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.String(255), nullable=False),
        sa.Column("price_id", sa.String(255), nullable=False),
        sa.Column("item_id", sa.String(255), nullable=False),
        sa.Column("tier", sa.String(20), nullable=False),
        sa.Column("grants", sa.String(20), nullable=False, server_default="free"),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("current_period_start", TIME),
        sa.Column("current_period_end", TIME),
        sa.Column("cancel_at_period_end", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("cancel_at", TIME),
        sa.Column("canceled_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("trial_end", TIME),
        sa.Column("grants_until", TIME),
        sa.Column("past_due_since", TIME),
        sa.Column("latest_invoice_id", sa.String(255)),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_subscriptions_user_id_users"),
        sa.UniqueConstraint("stripe_id", name="uq_subscriptions_stripe_id"),
        sa.CheckConstraint("tier IN ('free', 'premium', 'enterprise')", name=op.f("ck_subscriptions_tier_known")),
        sa.CheckConstraint("grants IN ('free', 'premium', 'enterprise')", name=op.f("ck_subscriptions_grants_known")),
    )
    op.create_index("ix_subscriptions_owned", "subscriptions", ["user_id", sa.text("started_at DESC")])
    op.create_index(
        "ix_subscriptions_open",
        "subscriptions",
        ["status"],
        postgresql_where=sa.text("status NOT IN ('canceled', 'incomplete_expired')"),
    )
    op.create_index(
        "ix_subscriptions_granting_until",
        "subscriptions",
        ["grants_until"],
        postgresql_where=sa.text("grants_until IS NOT NULL"),
    )


def _payment_methods() -> None:
    op.create_table(
        "payment_methods",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("stripe_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("brand", sa.String(40)),
        sa.Column("last4", sa.String(4)),
        sa.Column("exp_month", sa.Integer),
        sa.Column("exp_year", sa.Integer),
        sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("removed_at", TIME),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_payment_methods"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_payment_methods_user_id_users"),
        sa.UniqueConstraint("stripe_id", name="uq_payment_methods_stripe_id"),
        sa.CheckConstraint(
            "removed_at IS NULL OR NOT is_default", name=op.f("ck_payment_methods_removed_is_no_default")
        ),
    )
    op.create_index(
        "ix_payment_methods_owned", "payment_methods", ["user_id"], postgresql_where=sa.text("removed_at IS NULL")
    )
    op.create_index(
        "uq_payment_methods_one_default",
        "payment_methods",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )


def _invoices() -> None:
    op.create_table(
        "invoices",
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("stripe_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.String(60)),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("amount_cents", sa.Integer, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("billing_reason", sa.String(60)),
        sa.Column("subscription_id", sa.String(255)),
        sa.Column("payment_intent_id", sa.String(255)),
        sa.Column("hosted_url", sa.Text),
        sa.Column("pdf_url", sa.Text),
        sa.Column("paid_at", TIME),
        sa.Column("issued_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_invoices"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_invoices_user_id_users"),
        sa.UniqueConstraint("stripe_id", name="uq_invoices_stripe_id"),
    )
    op.create_index("ix_invoices_owned", "invoices", ["user_id", sa.text("issued_at DESC"), sa.text("id DESC")])
    op.create_index(
        "ix_invoices_subscription",
        "invoices",
        ["subscription_id"],
        postgresql_where=sa.text("subscription_id IS NOT NULL"),
    )
    op.create_index(
        "ix_invoices_payment_intent",
        "invoices",
        ["payment_intent_id"],
        postgresql_where=sa.text("payment_intent_id IS NOT NULL"),
    )
    op.create_index("ix_invoices_paid", "invoices", ["paid_at"], postgresql_where=sa.text("paid_at IS NOT NULL"))


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("invoices")
    op.drop_table("payment_methods")
    op.drop_table("subscriptions")
    op.drop_table("disputes")
    op.drop_table("refunds")
    op.drop_table("purchases")
