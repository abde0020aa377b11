"""Alerts for second payments of a purchase, which are closed when the whole payment is refunded."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.services.operations import audit
from models.tables import BillingAlert

KIND = "paid_twice"
CLOSED_BY = {"closedBy": "refund"}  # in `data` of an alert that no person closed; it is reopened if the refund fails


def note_refunds(session: Session, intent: Mapping[str, Any], refunds: Iterable[Mapping[str, Any]]) -> None:
    """Store how much of a second payment was refunded, and close or reopen its alert.

    Args:
        session: the session of the transaction.
        intent: the second payment, read from Stripe after `stripe_events.lock` on its id.
        refunds: all refunds of it, read after that too.
    """
    query = select(BillingAlert).where(BillingAlert.kind == KIND, BillingAlert.subject == intent["id"])
    alert = session.scalars(query.with_for_update().execution_options(populate_existing=True)).one()
    paid = intent["amount_received"]
    refunded = sum(refund["amount"] for refund in refunds if refund["status"] == "succeeded")
    by_refund = alert.resolved_at is not None and CLOSED_BY.items() <= (alert.data or {}).items()
    alert.data = {"paidCents": paid, "refundedCents": refunded}
    if refunded >= paid and (alert.resolved_at is None or by_refund):
        alert.data |= CLOSED_BY
        if not by_refund:
            alert.resolved_at = func.now()
            _record(session, alert, "alert.resolved")
    elif by_refund:
        alert.resolved_at = None
        _record(session, alert, "alert.reopened")
    session.flush()


def _record(session: Session, alert: BillingAlert, action: str) -> None:
    data = {"alert": str(alert.id), "kind": alert.kind, **alert.data}
    audit.record(session, actor=None, action=action, subject=alert.user_id, data=data)
