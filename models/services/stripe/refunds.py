"""Claws credits back for refunds and disputes of purchases, and restores them when a reversal fails.

Refunds and disputes of a purchase are added up: the share of the price that was returned, at most all of it, determines
how many credits are clawed back in total. Each change moves the difference under a key of its own.

The credits clawed back so far are stored twice, in the purchase and in the ledger. In case one of the two was changed
by hand, credits are clawed back only up to the total that neither has reached, and restored only from what both have,
so that nothing moves twice.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.errors import NotYet
from models.rules.stripe import billing
from models.services.credits import ledger
from models.services.operations import alerts
from models.services.stripe import customers
from models.tables import CreditTransaction, CreditType, Dispute, Invoice, Purchase, PurchaseStatus, Refund, Reversal

R = TypeVar("R", Refund, Dispute)


def sync_refund(
    session: Session, refund: Mapping[str, Any], *, intent: Mapping[str, Any] | None = None
) -> Refund | None:
    """Update our mirror from a refund as it is at Stripe now, and move credits; None if it is not of a purchase.

    Args:
        session: the session of the transaction.
        refund: the refund, read from Stripe after `stripe_events.lock` on its id.
        intent: its payment intent, if no purchase has that; its metadata says whether one should.

    Raises:
        NotYet: its purchase does not exist, or it is not known yet whether it has one.
    """
    purchase = _purchase(session, refund, intent)
    if purchase is None:
        return None
    row = _mirror(session, Refund, purchase, refund)
    if row.status == "failed":
        reason = row.failure_reason or "Stripe does not say why"
        problem = f"failed ({reason}): the customer did not get the money, and keeps the credits"
        _alert(session, purchase, row, "refund_failed", problem)
    _apply(session, purchase, row)
    return row


def sync_dispute(
    session: Session, dispute: Mapping[str, Any], *, intent: Mapping[str, Any] | None = None
) -> Dispute | None:
    """Update our mirror from a dispute as it is at Stripe now, and move credits; None if it is not of a purchase.

    An inquiry moves no credits. A dispute claws its share back while it is open and if it is lost; winning it restores
    them. Arguments and errors are those of `sync_refund`.
    """
    purchase = _purchase(session, dispute, intent)
    if purchase is None:
        return None
    row = _mirror(session, Dispute, purchase, dispute)
    _apply(session, purchase, row)
    return row


def settle(session: Session, purchase: Purchase) -> None:
    """Apply all known refunds and disputes of a purchase that was just paid, and is locked by the caller."""
    refunded = select(Refund).where(Refund.purchase_id == purchase.id)
    disputed = select(Dispute).where(Dispute.purchase_id == purchase.id)
    for refund in session.scalars(refunded.order_by(Refund.issued_at, Refund.stripe_id)).all():
        _apply(session, purchase, refund)
    for dispute in session.scalars(disputed.order_by(Dispute.issued_at, Dispute.stripe_id)).all():
        _apply(session, purchase, dispute)


def _apply(session: Session, purchase: Purchase, row: Refund | Dispute) -> None:
    """Count a reversal while it stands, and claw back or restore the difference in credits."""
    stands = _stands(row)
    if purchase.status is not PurchaseStatus.SUCCEEDED or stands is None:
        return
    counted = row.amount_cents if stands else 0
    if counted and counted != row.counted_cents:
        row.rounds += 1
    row.counted_cents = counted
    session.flush()
    target = billing.share(purchase.granted, _returned_cents(session, purchase), purchase.amount_cents)
    moves = _moves(session, purchase)
    least, most = sorted((purchase.credits_taken, Decimal(sum(moves.values()))))
    if change := max(target - most, Decimal(0)) or min(target - least, Decimal(0)):
        _move(session, purchase, row, change, stands=stands, used=moves.keys())
    purchase.credits_taken = target
    session.flush()


def _moves(session: Session, purchase: Purchase) -> dict[str, Decimal]:
    """The transactions for refunds and disputes of a purchase: credits clawed back by key, below 0 if restored."""
    moved = select(CreditTransaction).where(
        CreditTransaction.purchase_id == purchase.id, CreditTransaction.source.in_(["refund", "dispute"])
    )
    return {
        move.key: -move.amount if move.type is CreditType.CREDIT else move.amount for move in session.scalars(moved)
    }


def _move(
    session: Session,
    purchase: Purchase,
    row: Refund | Dispute,
    change: Decimal,
    *,
    stands: bool,
    used: Collection[str],
) -> None:
    """Add a transaction whose key names the reversal and the round; `used` are the keys that exist already."""
    kind, name = ("Refund", f"re:{row.stripe_id}") if isinstance(row, Refund) else ("Dispute", f"dp:{row.stripe_id}")
    if not stands:
        name += ":failed" if isinstance(row, Refund) else ":won"
    while (key := f"{name}:{row.rounds}" if row.rounds > 1 else name) in used:
        row.rounds += 1
    move = ledger.claw_back if change > 0 else ledger.grant
    ending = "" if change > 0 else " was corrected" if stands else " came to nothing"
    reason = f"{kind} of a purchase{ending}"
    move(session, purchase.user_id, abs(change), key=key, reason=reason, source=kind.lower(), purchase_id=purchase.id)


def _returned_cents(session: Session, purchase: Purchase) -> int:
    """The cents returned to the customer by refunds and disputes."""
    return sum(
        session.scalars(select(func.coalesce(func.sum(counted), 0)).where(of == purchase.id)).one()
        for counted, of in (
            (Refund.counted_cents, Refund.purchase_id),
            (Dispute.counted_cents, Dispute.purchase_id),
        )
    )


def _stands(row: Refund | Dispute) -> bool | None:
    """Whether the money was returned to the customer; None for a status that we do not know, which moves no credits."""
    if isinstance(row, Refund):
        return row.status == "succeeded" if row.status in billing.REFUND_STATUSES else None
    if row.status in billing.DISPUTE_TAKES:
        return True
    return False if row.status in billing.DISPUTE_TAKES_NOT else None


def _purchase(session: Session, reversal: Mapping[str, Any], intent: Mapping[str, Any] | None) -> Purchase | None:
    """The purchase of a reversal, locked; None if the payment was not for a purchase."""
    intent_id = billing.ref(reversal.get("payment_intent"))
    if intent_id is None:
        return None
    query = select(Purchase).where(Purchase.payment_intent_id == intent_id).with_for_update()
    if row := session.scalar(query.execution_options(populate_existing=True)):
        return row
    if intent is not None and _granted_nothing(session, intent):
        return None
    if intent is None and session.scalar(select(Invoice.id).where(Invoice.payment_intent_id == intent_id).limit(1)):
        return None
    raise NotYet(f"{reversal['id']} is about {intent_id}, for which there is no purchase here.")


def _granted_nothing(session: Session, intent: Mapping[str, Any]) -> bool:
    """Whether the intent is not for a purchase, or is the second payment of one."""
    named = customers.our_id(intent, billing.PURCHASE)
    if named is None:
        return True
    paid_by = session.scalar(select(Purchase.payment_intent_id).where(Purchase.id == named))
    return paid_by not in (None, intent["id"])


def _mirror(session: Session, kind: type[R], purchase: Purchase, reversal: Mapping[str, Any]) -> R:
    """Insert or update our row of a refund or dispute; an unknown status raises an alert."""
    row = session.scalar(select(kind).where(kind.stripe_id == reversal["id"])) or kind(stripe_id=reversal["id"])
    _fill(row, purchase, reversal)
    session.add(row)
    session.flush()
    if _stands(row) is None:
        problem = f"has the unknown status {row.status}: no credits move for it"
        _alert(session, purchase, row, "unknown_status", problem)
    return row


def _fill(row: Refund | Dispute, purchase: Purchase, reversal: Mapping[str, Any]) -> None:
    row.purchase_id = purchase.id
    row.charge_id = billing.ref(reversal.get("charge"))
    row.amount_cents = reversal["amount"]
    if isinstance(row, Refund):
        row.failure_reason = reversal.get("failure_reason")
        if row.counted_cents:  # a refund counts as a whole, also if its amount is corrected
            row.counted_cents = row.amount_cents
    row.currency = reversal["currency"]
    row.status = reversal["status"]
    row.reason = reversal.get("reason")
    row.issued_at = datetime.fromtimestamp(reversal["created"], UTC)


def _alert(session: Session, purchase: Purchase, row: Reversal, kind: str, problem: str) -> None:
    detail = f"{row.stripe_id} of the purchase {purchase.id} {problem}."
    key = f"reversal:{row.stripe_id}:{row.status}"
    alerts.add(session, kind=kind, subject=row.stripe_id, detail=detail, key=key, user_id=purchase.user_id)
