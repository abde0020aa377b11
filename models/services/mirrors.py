"""What we hold of one of Stripe's objects, in a few plain values, to be compared before and after it was followed.

Addresses that Stripe renews now and then are left out: they are no difference.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.billing import Subject

_OF = {
    Subject.PAYMENT: text("""
        SELECT p.id::text AS purchase, p.payment_intent_id, p.status, p.failure->>'code' AS failure,
               (SELECT sum(t.amount)::text FROM credit_transactions t WHERE t.key = 'pi:' || :id) AS granted
          FROM purchases p WHERE p.payment_intent_id = :id
    """),
    Subject.REFUND: text("""
        SELECT r.status, r.amount_cents, r.counted_cents, p.credits_taken::text AS credits_taken
          FROM refunds r JOIN purchases p ON p.id = r.purchase_id WHERE r.stripe_id = :id
    """),
    Subject.DISPUTE: text("""
        SELECT d.status, d.amount_cents, d.counted_cents, p.credits_taken::text AS credits_taken
          FROM disputes d JOIN purchases p ON p.id = d.purchase_id WHERE d.stripe_id = :id
    """),
    Subject.SUBSCRIPTION: text("""
        SELECT s.status, s.price_id, s.tier, s.grants, s.cancel_at_period_end, u.subscription_tier AS users_tier,
               s.current_period_start::text AS period_start, s.current_period_end::text AS period_end,
               s.cancel_at::text AS cancel_at, s.canceled_at::text AS canceled_at, s.ended_at::text AS ended_at,
               s.latest_invoice_id
          FROM subscriptions s JOIN users u ON u.id = s.user_id WHERE s.stripe_id = :id
    """),
    Subject.INVOICE: text("""
        SELECT status, amount_cents, currency, number, subscription_id, payment_intent_id, paid_at::text AS paid_at
          FROM invoices WHERE stripe_id = :id
    """),
    Subject.CUSTOMER: text("""
        SELECT u.id::text AS user, (SELECT m.stripe_id FROM payment_methods m
                                     WHERE m.user_id = u.id AND m.is_default) AS default_payment_method
          FROM users u WHERE u.stripe_customer_id = :id
    """),
    Subject.PAYMENT_METHOD: text("""
        SELECT user_id::text AS user, last4, exp_month, exp_year, removed_at IS NOT NULL AS removed
          FROM payment_methods WHERE stripe_id = :id
    """),
}

# Ours that are younger than the time looked at, or not over: Stripe must know every one of them.
_HELD = {
    Subject.PAYMENT: text("""
        SELECT payment_intent_id FROM purchases
         WHERE payment_intent_id IS NOT NULL
           AND created_at < now() - interval '10 minutes' AND created_at >= :since
         ORDER BY created_at
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
    Subject.DISPUTE: text("""
        SELECT stripe_id FROM disputes
         WHERE status NOT IN ('won', 'prevented', 'warning_closed') OR created_at >= :since ORDER BY created_at
    """),
}


_ALERTS = text("SELECT count(*) FROM billing_alerts WHERE subject = :id")


def held(session: Session, subject: Subject, stripe_id: str) -> Mapping[str, Any]:
    """What we hold of an object, and how many alerts there are about it; empty when nothing."""
    row = session.execute(_OF[subject], {"id": stripe_id}).mappings().first()
    alerts = session.execute(_ALERTS, {"id": stripe_id}).scalar_one()
    return dict(row or {}) | ({"alerts": alerts} if alerts else {})


def held_since(session: Session, subject: Subject, since: datetime) -> Sequence[str]:
    """Stripe's ids of what we hold of this kind: made here since `since`, or not over yet."""
    return session.scalars(_HELD[subject], {"since": since}).all()


def unseen_events(session: Session, event_ids: Sequence[str]) -> set[str]:
    """Those of these events that never came in."""
    found = session.scalars(
        text("SELECT id FROM unnest(CAST(:ids AS text[])) AS id WHERE id NOT IN (SELECT id FROM stripe_events)"),
        {"ids": list(event_ids)},
    )
    return set(found)
