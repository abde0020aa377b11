"""Money that goes back takes its share of the credits with it, and brings it again when the bank says so.

Refunds and disputes of one purchase are counted together: the share that has gone back, in cents and at most once
whole, decides what was taken in all. Whichever of them comes last moves the difference under a key of its own.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.invoice import Invoice
from models.purchase import Purchase, PurchaseStatus
from models.refund import Dispute, Refund, Reversal
from models.rules import billing
from models.services import alerts, credits, customers
from models.services.waiting import NotYet


def sync_refund(
    session: Session, refund: Mapping[str, Any], *, intent: Mapping[str, Any] | None = None
) -> Refund | None:
    """Follow a refund as Stripe has it now; None when what it refunds granted no credits.

    Args:
        refund: read from Stripe after `billing_events.lock` on its id.
        intent: its payment intent, when no purchase is known by that; tells whether one should be.

    Raises:
        NotYet: its purchase is not here, or nothing says yet that it is none.
    """
    purchase = _purchase(session, refund, intent)
    if purchase is None:
        return None
    row = session.scalar(select(Refund).where(Refund.stripe_id == refund["id"])) or Refund(stripe_id=refund["id"])
    _fill(row, purchase, refund)
    row.failure_reason = refund.get("failure_reason")
    session.add(row)
    session.flush()
    if row.status not in billing.REFUND_STATUSES:
        _alert(session, purchase, row, f"the unknown status {row.status}")
    _apply(session, purchase, row)
    return row


def sync_dispute(
    session: Session, dispute: Mapping[str, Any], *, intent: Mapping[str, Any] | None = None
) -> Dispute | None:
    """Follow a dispute as Stripe has it now; None when what it disputes granted no credits.

    An inquiry takes nothing, a dispute its share while it is open and when it is lost, and a won one gives it back.
    Arguments and errors are those of `sync_refund`.
    """
    purchase = _purchase(session, dispute, intent)
    if purchase is None:
        return None
    row = session.scalar(select(Dispute).where(Dispute.stripe_id == dispute["id"])) or Dispute(stripe_id=dispute["id"])
    _fill(row, purchase, dispute)
    session.add(row)
    session.flush()
    if row.status not in billing.DISPUTE_TAKES | billing.DISPUTE_TAKES_NOT:
        _alert(session, purchase, row, f"the unknown status {row.status}")
    _apply(session, purchase, row)
    return row


def settle(session: Session, purchase: Purchase) -> None:
    """Let everything known about a purchase take its share, once it is paid. The purchase is locked by the caller."""
    refunded = select(Refund).where(Refund.purchase_id == purchase.id)
    disputed = select(Dispute).where(Dispute.purchase_id == purchase.id)
    for refund in session.scalars(refunded.order_by(Refund.issued_at, Refund.stripe_id)).all():
        _apply(session, purchase, refund)
    for dispute in session.scalars(disputed.order_by(Dispute.issued_at, Dispute.stripe_id)).all():
        _apply(session, purchase, dispute)


def _apply(session: Session, purchase: Purchase, row: Refund | Dispute) -> None:
    """Count a reversal while it stands, and move the credits that this makes too many or too few."""
    stands = _stands(row)
    if purchase.status is not PurchaseStatus.SUCCEEDED or stands is None:
        return
    counted = row.amount_cents if stands else 0
    if counted and counted != row.counted_cents:
        row.rounds += 1
    row.counted_cents = counted
    session.flush()
    target = billing.share(purchase.granted, _returned_cents(session, purchase), purchase.amount_cents)
    if change := target - purchase.credits_taken:
        _move(session, purchase, row, change, stands=stands)
    purchase.credits_taken = target
    session.flush()


def _move(session: Session, purchase: Purchase, row: Refund | Dispute, change: Decimal, *, stands: bool) -> None:
    """One line in the ledger, named after what it is for: the same news never moves credits twice."""
    refund = isinstance(row, Refund)
    undone = "" if stands else ":failed" if refund else ":won"
    again = f":{row.rounds}" if row.rounds > 1 else ""
    move = credits.claw_back if change > 0 else credits.restore
    what = "Refund" if refund else "Dispute"
    move(
        session,
        purchase.user_id,
        abs(change),
        key=f"{'re' if refund else 'dp'}:{row.stripe_id}{undone}{again}",
        reason=f"{what} of a purchase" if change > 0 else f"{what} of a purchase came to nothing",
        source=what.lower(),
        purchase_id=purchase.id,
    )


def _returned_cents(session: Session, purchase: Purchase) -> int:
    """What has gone back to the customer, by whichever way."""
    return sum(
        session.scalars(select(func.coalesce(func.sum(counted), 0)).where(of == purchase.id)).one()
        for counted, of in (
            (Refund.counted_cents, Refund.purchase_id),
            (Dispute.counted_cents, Dispute.purchase_id),
        )
    )


def _stands(row: Refund | Dispute) -> bool | None:
    """Whether the money is back with the customer; None when Stripe's word for it is new to us: nothing moves then."""
    if isinstance(row, Refund):
        return row.status == "succeeded" if row.status in billing.REFUND_STATUSES else None
    if row.status in billing.DISPUTE_TAKES:
        return True
    return False if row.status in billing.DISPUTE_TAKES_NOT else None


def _purchase(session: Session, thing: Mapping[str, Any], intent: Mapping[str, Any] | None) -> Purchase | None:
    """The purchase whose money it is, locked; None when the money was not for credits."""
    intent_id = billing.ref(thing.get("payment_intent"))
    if intent_id is None:
        return None
    query = select(Purchase).where(Purchase.payment_intent_id == intent_id).with_for_update()
    if row := session.scalar(query.execution_options(populate_existing=True)):
        return row
    if intent is not None and customers.our_id(intent, billing.PURCHASE) is None:
        return None
    if intent is None and session.scalar(select(Invoice.id).where(Invoice.payment_intent_id == intent_id).limit(1)):
        return None
    raise NotYet(f"{thing['id']} is about {intent_id}, for which there is no purchase here.")


def _fill(row: Reversal, purchase: Purchase, thing: Mapping[str, Any]) -> None:
    row.purchase_id = purchase.id
    row.charge_id = billing.ref(thing.get("charge"))
    row.amount_cents = thing["amount"]
    row.currency = thing["currency"]
    row.status = thing["status"]
    row.reason = thing.get("reason")
    row.issued_at = datetime.fromtimestamp(thing["created"], UTC)


def _alert(session: Session, purchase: Purchase, row: Reversal, what: str) -> None:
    detail = f"{row.stripe_id} of the purchase {purchase.id} has {what}: no credits move for it."
    key = f"reversal:{row.stripe_id}:{row.status}"
    alerts.add(session, kind="unknown_status", subject=row.stripe_id, detail=detail, key=key, user_id=purchase.user_id)
