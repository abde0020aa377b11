"""How anything that Stripe knows is brought home: lock it, read it there, follow it here.

The lock comes before the reading, always. Of two workers with news about one object the later one then also reads
later, so nothing old is ever written over something new, in whatever order the news came.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from models.rules.billing import Subject, ref
from models.services import (
    billing_events,
    customers,
    invoices,
    payment_methods,
    payments,
    purchases,
    refunds,
    subscriptions,
)
from workers.gateways.stripe import StripeGateway

Plain = Mapping[str, Any]


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Follower:
    """Follows Stripe's objects in the caller's transaction; `tiers` says which tier each price stands for."""

    gateway: StripeGateway
    tiers: Mapping[str, str]
    clock: Callable[[], datetime] = field(default=utc_now)

    def follow(self, session: Session, subject: Subject, stripe_id: str) -> Any:
        """Bring one object up to date; answers our row, or nothing when it is nobody's of ours.

        Args:
            session: its transaction holds the lock until it ends. One that follows several objects locks all first.

        Raises:
            StripeFailed: it could not be read.
            NotYet: what it belongs to is not here yet.
        """
        billing_events.lock(session, stripe_id)
        if subject is Subject.CHARGE:
            return self._refunds_of(session, stripe_id)
        return self.apply(session, subject, self.read(subject, stripe_id))

    def read(self, subject: Subject, stripe_id: str) -> Plain:
        """An object as Stripe has it now; to be followed, it is read after its lock was taken."""
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
        raise ValueError(f"a {subject} cannot be followed")

    def apply(self, session: Session, subject: Subject, found: Plain) -> Any:
        """Follow an object that was read; answers as `follow` does."""
        match subject:
            case Subject.PAYMENT:
                effect = payments.sync_intent(session, found)
                return None if effect is payments.Effect.NOT_OURS else effect
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
        raise ValueError(f"a {subject} cannot be followed")

    def refunded(self, session: Session, refund: Plain) -> Any:
        """Follow a refund that was read under its lock."""
        return refunds.sync_refund(session, refund, intent=self._intent_of(session, refund))

    def _refunds_of(self, session: Session, charge: str) -> Any:
        """All locks come before the first refund is followed, in one order, so that nobody waits in a circle."""
        for refund_id in sorted(refund["id"] for refund in self.gateway.refunds(charge=charge)):
            billing_events.lock(session, refund_id)
        return [row for refund in self.gateway.refunds(charge=charge) if (row := self.refunded(session, refund))]

    def _intent_of(self, session: Session, reversal: Plain) -> Plain | None:
        """The payment intent of a refund or a dispute; brought home first when no purchase is known by it."""
        intent_id = ref(reversal.get("payment_intent"))
        if intent_id is None or purchases.knows(session, intent_id):
            return None
        billing_events.lock(session, intent_id)
        intent = self.gateway.payment(intent_id)
        purchases.sync_intent(session, intent)
        return intent
