"""Our mirror of Stripe's invoices, which are for subscriptions and grant no credits."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFound, NotYet
from models.rules.stripe import billing
from models.services.notifications import notifications
from models.services.operations import alerts
from models.services.rows.queries import get_owned
from models.services.stripe import customers
from models.services.stripe.subscriptions import time_of
from models.tables import Invoice, NotificationKind, Subscription, User


def list_owned(session: Session, owner: User, *, limit: int = 50, offset: int = 0) -> Sequence[Invoice]:
    """A page of `owner`'s invoices, newest first, without drafts."""
    owned = select(Invoice).where(Invoice.user_id == owner.id, Invoice.status != "draft")
    newest = owned.order_by(Invoice.issued_at.desc(), Invoice.id.desc())
    return session.scalars(newest.limit(limit).offset(offset)).all()


def get(session: Session, owner: User, invoice_id: UUID) -> Invoice:
    """An invoice of `owner`; raises `NotFound`."""
    return get_owned(session, Invoice, owner, invoice_id, what="invoice")


def pdf_url(session: Session, owner: User, invoice_id: UUID) -> str:
    """The address of an invoice's PDF at Stripe; raises `NotFound`, also for an invoice without a PDF."""
    if (url := get(session, owner, invoice_id).pdf_url) is None:
        raise NotFound("PDF of this invoice")
    return url


def sync_invoice(session: Session, invoice: Mapping[str, Any]) -> Invoice | None:
    """Update our mirror from an invoice as it is at Stripe now, with its `payments`; None if it is not ours.

    The user is notified of each failed payment.

    Raises:
        NotYet: its metadata names a user who does not exist.
    """
    user_id = _owner(session, invoice)
    if user_id is None:
        return None
    values = _store(invoice)
    if values["payment_intent_id"] is None:
        del values["payment_intent_id"]  # not expanded, or not paid yet: keeps the stored one
    row = insert(Invoice).values(stripe_id=invoice["id"], user_id=user_id, **values)
    row = row.on_conflict_do_update(index_elements=["stripe_id"], set_=values | {"updated_at": func.now()})
    synced = session.scalars(row.returning(Invoice), execution_options={"populate_existing": True}).one()
    _notify(session, synced, invoice)
    return synced


def notify_user(session: Session, invoice: Mapping[str, Any]) -> None:
    """Notify a user of an upcoming invoice, which has no id yet and is not stored."""
    user_id = _owner(session, invoice)
    if user_id is None:
        return
    key = f"upcoming:{billing.ref(invoice.get('subscription')) or _subscription(invoice)}:{invoice.get('period_end')}"
    day = time_of(invoice.get("next_payment_attempt") or invoice.get("period_end"))
    payload = {"amountCents": invoice["total"], "currency": invoice["currency"], "date": day and day.date().isoformat()}
    notifications.add(session, user_id, NotificationKind.INVOICE_UPCOMING, payload, key=key)


def _owner(session: Session, invoice: Mapping[str, Any]) -> UUID | None:
    """The user of an invoice, by its customer, its subscription, or the metadata of the subscription."""
    if owner := customers.owner(session, billing.ref(invoice.get("customer"))):
        return owner
    known = select(Subscription.user_id).where(Subscription.stripe_id == _subscription(invoice))
    if owner := session.scalar(known):
        return owner
    claimed = customers.our_id(_details(invoice), billing.USER)
    if claimed is None:
        return None
    if session.get(User, claimed) is None:
        raise NotYet(f"The invoice {invoice.get('id')} is for a user who does not exist here.")
    return claimed


def _store(invoice: Mapping[str, Any]) -> dict[str, Any]:
    paid = (part.get("payment") or {} for part in (invoice.get("payments") or {}).get("data") or [])
    return {
        "number": invoice.get("number"),
        "description": invoice.get("description") or _main_line(invoice).get("description") or "",
        "amount_cents": invoice["total"],
        "currency": invoice["currency"],
        "status": invoice.get("status") or "draft",
        "billing_reason": invoice.get("billing_reason"),
        "subscription_id": _subscription(invoice),
        "payment_intent_id": next((ref for part in paid if (ref := billing.ref(part.get("payment_intent")))), None),
        "hosted_url": invoice.get("hosted_invoice_url"),
        "pdf_url": invoice.get("invoice_pdf"),
        "paid_at": time_of((invoice.get("status_transitions") or {}).get("paid_at")),
        "issued_at": time_of(invoice["created"]),
    }


def _main_line(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    """The line that explains most of the total: a plan's change credits unused time before it charges the rest."""
    lines: Sequence[Mapping[str, Any]] = (invoice.get("lines") or {}).get("data") or []
    sign = -1 if invoice["total"] < 0 else 1
    return max(lines, key=lambda line: sign * (line.get("amount") or 0), default={})


def _notify(session: Session, row: Invoice, invoice: Mapping[str, Any]) -> None:
    attempts = invoice.get("attempt_count") or 0
    if row.status == "open" and invoice.get("attempted") and attempts:
        payload = {
            "invoiceId": str(row.id),
            "amountCents": row.amount_cents,
            "currency": row.currency,
            "url": row.hosted_url,
        }
        key = f"invoice-failed:{row.stripe_id}:{attempts}"
        notifications.add(session, row.user_id, NotificationKind.PAYMENT_FAILED, payload, key=key)
    if error := invoice.get("last_finalization_error"):
        detail = f"The invoice {row.stripe_id} could not be finalized: {error.get('message')}"
        key = f"finalization:{row.stripe_id}"
        alerts.add(
            session, kind="invoice_not_final", subject=row.stripe_id, detail=detail, key=key, user_id=row.user_id
        )


def _details(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    return (invoice.get("parent") or {}).get("subscription_details") or {}


def _subscription(invoice: Mapping[str, Any]) -> str | None:
    return billing.ref(_details(invoice).get("subscription"))
