"""Snapshots of our mirrors of Stripe objects, for comparison before and after a sync.

Columns that Stripe renews now and then, such as links, are left out, because their changes are no difference.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.rules.stripe.billing import Subject
from models.tables import User

_REVERSAL = """
    SELECT r.status, r.amount_cents, r.currency, r.counted_cents, p.id::text AS purchase,
           p.credits_taken::text AS credits_taken
      FROM {table} r JOIN purchases p ON p.id = r.purchase_id WHERE r.stripe_id = :id
"""

_OF = {
    Subject.PAYMENT: text("""
        SELECT p.id::text AS purchase, p.payment_intent_id, p.status, p.failure->>'code' AS failure,
               p.amount_cents, p.currency, p.package_id, p.price_list, (p.credits + p.bonus)::text AS credits,
               (SELECT sum(t.amount)::text FROM credit_transactions t WHERE t.key = 'pi:' || :id) AS granted
          FROM purchases p WHERE p.payment_intent_id = :id
    """),
    Subject.REFUND: text(_REVERSAL.format(table="refunds")),
    Subject.DISPUTE: text(_REVERSAL.format(table="disputes")),
    Subject.SUBSCRIPTION: text("""
        SELECT s.status, s.price_id, s.tier, s.grants, s.cancel_at_period_end, u.subscription_tier AS users_tier,
               s.customer_id, s.item_id, s.trial_end::text AS trial_end, s.started_at::text AS started_at,
               s.current_period_start::text AS period_start, s.current_period_end::text AS period_end,
               s.cancel_at::text AS cancel_at, s.canceled_at::text AS canceled_at, s.ended_at::text AS ended_at,
               s.latest_invoice_id
          FROM subscriptions s JOIN users u ON u.id = s.user_id WHERE s.stripe_id = :id
    """),
    Subject.INVOICE: text("""
        SELECT status, amount_cents, currency, number, subscription_id, payment_intent_id, paid_at::text AS paid_at,
               issued_at::text AS issued_at, billing_reason
          FROM invoices WHERE stripe_id = :id
    """),
    Subject.CUSTOMER: text("""
        SELECT u.id::text AS user, (SELECT m.stripe_id FROM payment_methods m
                                     WHERE m.user_id = u.id AND m.is_default) AS default_payment_method
          FROM users u WHERE u.stripe_customer_id = :id
    """),
    Subject.PAYMENT_METHOD: text("""
        SELECT user_id::text AS user, type, brand, last4, exp_month, exp_year, removed_at IS NOT NULL AS removed
          FROM payment_methods WHERE stripe_id = :id
    """),
}

# Our objects that were created since `:since`, or are not final. All of them must exist at Stripe.
_SNAPSHOT = {
    Subject.PAYMENT: text("""
        SELECT payment_intent_id FROM purchases
         WHERE payment_intent_id IS NOT NULL AND created_at < now() - interval '10 minutes'
           AND (status IN ('pending', 'requires_action', 'processing', 'failed') OR created_at >= :since)
         UNION SELECT subject FROM billing_alerts WHERE kind = 'paid_twice' AND resolved_at IS NULL
    """),
    Subject.SUBSCRIPTION: text("""
        SELECT stripe_id FROM subscriptions
         WHERE status NOT IN ('canceled', 'incomplete_expired') OR created_at >= :since ORDER BY created_at
    """),
    Subject.INVOICE: text("""
        SELECT stripe_id FROM invoices
         WHERE status IN ('draft', 'open', 'uncollectible') OR created_at >= :since ORDER BY created_at
    """),
    Subject.REFUND: text("""
        SELECT stripe_id FROM refunds
         WHERE status IN ('pending', 'requires_action') OR created_at >= :since ORDER BY created_at
    """),
    Subject.PAYMENT_METHOD: text("""
        SELECT stripe_id FROM payment_methods WHERE removed_at IS NULL AND created_at >= :since ORDER BY created_at
    """),
    Subject.DISPUTE: text("""
        SELECT stripe_id FROM disputes
         WHERE status NOT IN ('won', 'prevented', 'warning_closed') OR created_at >= :since ORDER BY created_at
    """),
}

# Our objects of a period.
_WITHIN = {
    Subject.CUSTOMER: "SELECT stripe_customer_id FROM users WHERE stripe_customer_id IS NOT NULL",
    Subject.PAYMENT: "SELECT payment_intent_id FROM purchases WHERE payment_intent_id IS NOT NULL",
    Subject.INVOICE: "SELECT stripe_id FROM invoices WHERE true",
    Subject.REFUND: "SELECT stripe_id FROM refunds WHERE true",
    Subject.DISPUTE: "SELECT stripe_id FROM disputes WHERE true",
    Subject.PAYMENT_METHOD: "SELECT stripe_id FROM payment_methods WHERE removed_at IS NULL",
}

_ALERTS = text("""
    SELECT count(*) AS alerts, count(*) FILTER (WHERE resolved_at IS NULL) AS open_alerts,
           sum((data->>'refundedCents')::bigint)::bigint AS refunded_cents
      FROM billing_alerts WHERE subject = :id
""")


def snapshot(session: Session, subject: Subject, stripe_id: str) -> Mapping[str, Any]:
    """Our mirror of an object and the counts of alerts about it; empty if there is neither."""
    row = session.execute(_OF[subject], {"id": stripe_id}).mappings().first()
    alerts = session.execute(_ALERTS, {"id": stripe_id}).mappings().one()
    return dict(row or {}) | {name: number for name, number in alerts.items() if number}


def snapshots_since(session: Session, subject: Subject, since: datetime) -> Sequence[str]:
    """Stripe's ids of our objects of this kind that were created since `since` or are not final."""
    return session.scalars(_SNAPSHOT[subject], {"since": since}).all()


def snapshots_within(session: Session, subject: Subject, begin: datetime, end: datetime) -> Sequence[str]:
    """Stripe's ids of our objects of this kind that were created from `begin` until before `end`."""
    query = text(f"{_WITHIN[subject]} AND created_at >= :begin AND created_at < :end ORDER BY created_at")
    return session.scalars(query, {"begin": begin, "end": end}).all()


def oldest(session: Session) -> datetime | None:
    """When the first user registered, which is before all our objects; None without users."""
    return session.scalar(select(func.min(User.created_at)))


def unseen_events(session: Session, event_ids: Sequence[str]) -> set[str]:
    """Those of these events that were never received."""
    found = session.scalars(
        text("SELECT id FROM unnest(CAST(:ids AS text[])) AS id WHERE id NOT IN (SELECT id FROM stripe_events)"),
        {"ids": list(event_ids)},
    )
    return set(found)
