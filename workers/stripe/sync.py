"""Synchronisation of Stripe objects: lock, read at Stripe, update our row.

The lock always comes before the read. Of two workers that sync one object the later one then also reads later, so an
older state never overwrites a newer one, in whatever order the events came.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from models.rules.stripe.billing import Subject, ref
from models.services.stripe import (
    customers,
    invoices,
    payment_methods,
    payments,
    purchases,
    refunds,
    second_payments,
    stripe_events,
    subscriptions,
)
from models.services.stripe.payments import Effect
from workers.gateways.stripe.gateway import StripeGateway

StripeObject = Mapping[str, Any]


def utc_now() -> datetime:
    """The current time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class StripeSync:
    """Synchronises Stripe objects in the caller's transaction; `tiers` maps prices to tiers."""

    gateway: StripeGateway
    tiers: Mapping[str, str]
    clock: Callable[[], datetime] = field(default=utc_now)

    def sync(self, session: Session, subject: Subject, stripe_id: str) -> Any:
        """Bring one object up to date; returns our row, or None when it belongs to none of our users.

        Args:
            session: its transaction holds the lock until it ends; to sync several objects, lock all of them first.

        Raises:
            StripeFailed: the object could not be read.
            NotYet: the object that it belongs to is not stored yet.
        """
        stripe_events.lock(session, stripe_id)
        if subject is Subject.CHARGE:
            return self._refunds_of(session, stripe_id)
        return self.apply(session, subject, self.read(subject, stripe_id))

    def read(self, subject: Subject, stripe_id: str) -> StripeObject:
        """Read an object from Stripe; to sync it, take its lock first."""
        match subject:
            case Subject.PAYMENT:
                return self.gateway.payment(stripe_id)
            case Subject.REFUND:
                return self.gateway.refund(stripe_id)
            case Subject.DISPUTE:
                return self.gateway.dispute(stripe_id)
            case Subject.SUBSCRIPTION:
                return self.gateway.subscription(stripe_id)
            case Subject.INVOICE:
                return self.gateway.invoice(stripe_id)
            case Subject.CUSTOMER:
                return self.gateway.customer(stripe_id)
            case Subject.PAYMENT_METHOD:
                return self.gateway.payment_method(stripe_id)
        raise ValueError(f"a {subject} cannot be synced")

    def apply(self, session: Session, subject: Subject, found: StripeObject) -> Any:
        """Apply an object that was read; return as `sync` does."""
        match subject:
            case Subject.PAYMENT:
                return self._paid(session, found)
            case Subject.REFUND:
                return self.refunded(session, found)
            case Subject.DISPUTE:
                return refunds.sync_dispute(session, found, intent=self._intent_of(session, found))
            case Subject.SUBSCRIPTION:
                return subscriptions.sync_subscription(session, found, now=self.clock(), tiers=self.tiers)
            case Subject.INVOICE:
                return invoices.sync_invoice(session, found)
            case Subject.CUSTOMER:
                return customers.sync_customer(session, found)
            case Subject.PAYMENT_METHOD:
                return payment_methods.sync(session, found)
        raise ValueError(f"a {subject} cannot be synced")

    def refunded(self, session: Session, refund: StripeObject) -> Any:
        """Apply a refund that was read under its lock."""
        return refunds.sync_refund(session, refund, intent=self._intent_of(session, refund))

    def _paid(self, session: Session, intent: StripeObject) -> Effect | None:
        effect = payments.sync_intent(session, intent)
        if effect is Effect.PAID_TWICE:
            second_payments.note_refunds(session, intent, self.gateway.refunds(payment=intent["id"]))
        return None if effect is Effect.NOT_OURS else effect

    def _refunds_of(self, session: Session, charge: str) -> Any:
        """Sync the refunds of a charge; all locks are taken first, in one order, to avoid deadlocks."""
        for refund_id in sorted(refund["id"] for refund in self.gateway.refunds(charge=charge)):
            stripe_events.lock(session, refund_id)
        return [row for refund in self.gateway.refunds(charge=charge) if (row := self.refunded(session, refund))]

    def _intent_of(self, session: Session, reversal: StripeObject) -> StripeObject | None:
        """The payment intent of a refund or a dispute if no purchase has it yet; it is synced first."""
        intent_id = ref(reversal.get("payment_intent"))
        if intent_id is None or purchases.knows(session, intent_id):
            return None
        stripe_events.lock(session, intent_id)
        intent = self.gateway.payment(intent_id)
        self._paid(session, intent)
        return intent
