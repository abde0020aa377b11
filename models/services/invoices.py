"""Our mirror of Stripe's invoices. They are for subscriptions, and grant no credits."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.invoice import Invoice
from models.notification import NotificationKind
from models.rules import billing
from models.services import alerts, customers, notifications
from models.services.subscriptions import time_of
from models.services.waiting import NotYet
from models.subscription import Subscription
from models.user import User


def list_owned(session: Session, owner: User, *, limit: int = 50, offset: int = 0) -> Sequence[Invoice]:
    """A page of `owner`'s invoices, the newest first; drafts are nobody's business yet."""
    mine = select(Invoice).where(Invoice.user_id == owner.id, Invoice.status != "draft")
    return session.scalars(mine.order_by(Invoice.issued_at.desc(), Invoice.id.desc()).limit(limit).offset(offset)).all()


def get(session: Session, owner: User, invoice_id: UUID) -> Invoice:
    """One invoice of `owner`'s; raises `NotFound`."""
    row = session.scalar(select(Invoice).where(Invoice.id == invoice_id, Invoice.user_id == owner.id))
    if row is None:
        raise NotFound("invoice")
    return row


def pdf_url(session: Session, owner: User, invoice_id: UUID) -> str:
    """Where Stripe keeps the PDF of an invoice of `owner`'s; raises `NotFound`, for one without a PDF too."""
    if (url := get(session, owner, invoice_id).pdf_url) is None:
        raise NotFound("PDF of this invoice")
    return url


def sync_invoice(session: Session, invoice: Mapping[str, Any]) -> Invoice | None:
    """Follow an invoice as Stripe has it now, read with its `payments`; None when it is nobody's of ours.

    The user is told of each payment that failed.

    Raises:
        NotYet: its user should be here, and is not.
    """
    user_id = _owner(session, invoice)
    if user_id is None:
        return None
    values = _mirror(invoice)
    if values["payment_intent_id"] is None:
        del values["payment_intent_id"]  # not expanded, or not paid yet: what is known stays
    row = insert(Invoice).values(stripe_id=invoice["id"], user_id=user_id, **values)
    row = row.on_conflict_do_update(index_elements=["stripe_id"], set_=values | {"updated_at": func.now()})
    synced = session.scalars(row.returning(Invoice), execution_options={"populate_existing": True}).one()
    _tell(session, synced, invoice)
    return synced


def announce(session: Session, invoice: Mapping[str, Any]) -> None:
    """Tell a user of the invoice that comes next; it has no id yet, and nothing is stored."""
    user_id = _owner(session, invoice)
    if user_id is None:
        return
    key = f"upcoming:{billing.ref(invoice.get('subscription')) or _subscription(invoice)}:{invoice.get('period_end')}"
    day = time_of(invoice.get("next_payment_attempt") or invoice.get("period_end"))
    payload = {"amountCents": invoice["total"], "currency": invoice["currency"], "date": day and day.date().isoformat()}
    notifications.add(session, user_id, NotificationKind.INVOICE_UPCOMING, payload, key=key)


def _owner(session: Session, invoice: Mapping[str, Any]) -> UUID | None:
    """Whose it is: by its customer, its subscription, or the id of ours that the subscription carries."""
    if owner := customers.owner(session, billing.ref(invoice.get("customer"))):
        return owner
    known = select(Subscription.user_id).where(Subscription.stripe_id == _subscription(invoice))
    if owner := session.scalar(known):
        return owner
    claimed = customers.our_id(_details(invoice), billing.USER)
    if claimed is None:
        return None
    if session.get(User, claimed) is None:
        raise NotYet(f"The invoice {invoice.get('id')} is for a user who is not here.")
    return claimed


def _mirror(invoice: Mapping[str, Any]) -> dict[str, Any]:
    lines = (invoice.get("lines") or {}).get("data") or []
    paid = (part.get("payment") or {} for part in (invoice.get("payments") or {}).get("data") or [])
    return {
        "number": invoice.get("number"),
        "description": invoice.get("description") or next((line.get("description") or "" for line in lines), ""),
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


def _tell(session: Session, row: Invoice, invoice: Mapping[str, Any]) -> None:
    attempts = invoice.get("attempt_count") or 0
    if row.status == "open" and invoice.get("attempted") and attempts:
        payload = {"invoiceId": str(row.id), "amountCents": row.amount_cents, "url": row.hosted_url}
        key = f"invoice-failed:{row.stripe_id}:{attempts}"
        notifications.add(session, row.user_id, NotificationKind.PAYMENT_FAILED, payload, key=key)
    if error := invoice.get("last_finalization_error"):
        detail = f"The invoice {row.stripe_id} could not be made final: {error.get('message')}"
        key = f"finalization:{row.stripe_id}"
        alerts.add(
            session, kind="invoice_not_final", subject=row.stripe_id, detail=detail, key=key, user_id=row.user_id
        )


def _details(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    return (invoice.get("parent") or {}).get("subscription_details") or {}


def _subscription(invoice: Mapping[str, Any]) -> str | None:
    return billing.ref(_details(invoice).get("subscription"))
