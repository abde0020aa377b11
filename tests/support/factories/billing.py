"""Stripe's objects as its API returns them, reduced to the fields that we read, and the rows for them."""

import itertools
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from models.services.stripe import customers, purchases, stripe_events
from models.tables import Purchase, User
from tests.support import factories

TIERS = {"price_premium_monthly": "premium", "price_enterprise_monthly": "enterprise"}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

_numbers = itertools.count(1)


def _id(prefix: str) -> str:
    return f"{prefix}_{next(_numbers):06}"


def customer(session: Session, of: User | None = None, **columns: Any) -> User:
    """A user with a customer at Stripe."""
    of = of or factories.user(session, **{"credits": 0} | columns)
    customers.remember(session, of.id, _id("cus"))
    return of


def purchase(session: Session, of: User | None = None, *, package: str = "pack_100", paid: bool = False) -> Purchase:
    """A pending purchase, or one that is paid and granted."""
    row, _ = purchases.start(session, of or customer(session), package_id=package)
    if paid:
        purchases.sync_intent(session, intent(session, row))
    return row


def intent(session: Session, of: Purchase, status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """The payment intent of a purchase, with the same id every time unless `changes` has another."""
    return {
        "id": of.payment_intent_id or f"pi_{of.id.hex}",
        "object": "payment_intent",
        "status": status,
        "amount": of.amount_cents,
        "amount_received": of.amount_cents if status == "succeeded" else 0,
        "currency": of.currency,
        "customer": customers.customer_id(session, of.user_id),
        "client_secret": f"pi_{of.id.hex}_secret",
        "latest_charge": None,
        "last_payment_error": None,
        "metadata": {
            "agentforge_purchase": str(of.id),
            "agentforge_user": str(of.user_id),
            "agentforge_package": f"{of.price_list}/{of.package_id}",
        },
    } | changes


def refund(of: Purchase, amount: int | None = None, status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """A refund of a purchase, complete by default."""
    return {
        "id": _id("re"),
        "object": "refund",
        "payment_intent": of.payment_intent_id or f"pi_{of.id.hex}",
        "charge": f"ch_{of.id.hex}",
        "amount": of.amount_cents if amount is None else amount,
        "currency": of.currency,
        "status": status,
        "reason": None,
        "created": int(NOW.timestamp()),
    } | changes


def dispute(of: Purchase, status: str = "needs_response", **changes: Any) -> dict[str, Any]:
    """A dispute of a purchase, over all of it by default."""
    return refund(of, status=status) | {"id": _id("dp"), "object": "dispute", "reason": "fraudulent"} | changes


def subscription(session: Session, of: User, status: str = "active", **changes: Any) -> dict[str, Any]:
    """A subscription to the premium plan; `price` and the item's period by keyword too."""
    price = changes.pop("price", "price_premium_monthly")
    start = int(NOW.timestamp())
    item = {"id": _id("si"), "price": {"id": price}, "current_period_start": start}
    return {
        "id": _id("sub"),
        "object": "subscription",
        "customer": customers.customer_id(session, of.id),
        "status": status,
        "items": {"data": [item | {"current_period_end": start + 30 * 86400}]},
        "cancel_at_period_end": False,
        "latest_invoice": None,
        "start_date": start,
        "created": start,
        "metadata": {"agentforge_user": str(of.id)},
    } | changes


def payment_method(customer_id: str | None, **changes: Any) -> dict[str, Any]:
    """A card attached to a customer."""
    card = {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}
    return {
        "id": _id("pm"),
        "object": "payment_method",
        "type": "card",
        "card": card,
        "customer": customer_id,
    } | changes


def invoice(session: Session, of: User, status: str = "paid", **changes: Any) -> dict[str, Any]:
    """An invoice for a month of the premium plan."""
    number = next(_numbers)
    return {
        "id": f"in_{number:06}",
        "object": "invoice",
        "number": f"AF-{number:04}",
        "customer": customers.customer_id(session, of.id),
        "status": status,
        "total": 999,
        "currency": "usd",
        "description": None,
        "billing_reason": "subscription_cycle",
        "attempted": status == "paid",
        "attempt_count": int(status == "paid"),
        "lines": {"data": [{"description": "1 × Premium"}]},
        "payments": {"data": [{"payment": {"type": "payment_intent", "payment_intent": f"pi_in_{number}"}}]},
        "parent": {"subscription_details": {"subscription": "sub_of_it", "metadata": {"agentforge_user": str(of.id)}}},
        "hosted_invoice_url": "https://invoice.example/1",
        "invoice_pdf": "https://invoice.example/1.pdf",
        "status_transitions": {"paid_at": int(NOW.timestamp()) if status == "paid" else None},
        "created": int(NOW.timestamp()),
    } | changes


def event(session: Session, type: str = "payment_intent.succeeded", **changes: Any) -> str:
    """Store a received event and return its id."""
    values = {
        "event_id": _id("evt"),
        "api_version": "2026-10-28.endive",
        "created": NOW,
        "livemode": False,
        "raw": b"{}",
    }
    values |= changes
    stripe_events.receive(session, type=type, **values)
    return str(values["event_id"])
