"""Whether a purchase was paid, as its payment intent at Stripe says.

Credits are granted in one place, `sync_intent`, whoever brings the news: a webhook, the worker who asked Stripe, or
reconciliation.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from models.notification import NotificationKind
from models.purchase import Purchase, PurchaseStatus
from models.rules import billing
from models.rules.pricing import PRICE_LISTS
from models.services import alerts, credits, customers, notifications, refunds
from models.services.waiting import NotYet
from models.user import User

CURRENCY = "usd"

_S = PurchaseStatus
_STATUS = {
    "requires_payment_method": _S.PENDING,  # unless a payment failed
    "requires_confirmation": _S.PENDING,
    "requires_action": _S.REQUIRES_ACTION,
    "requires_capture": _S.PROCESSING,
    "processing": _S.PROCESSING,
    "canceled": _S.CANCELED,
}


class Effect(StrEnum):
    """What a payment intent changed here."""

    GRANTED = "granted"
    PAID_BEFORE = "paid_before"
    RECORDED = "recorded"
    MISMATCH = "mismatch"  # nothing was granted, and an alert says why
    NOT_OURS = "not_ours"


def sync_intent(session: Session, intent: Mapping[str, Any], *, fresh: bool = True) -> Effect:
    """Follow a payment intent; when it succeeded, grant what was sold, once.

    Args:
        intent: as Stripe has it.
        fresh: it was read after `billing_events.lock` on its id. An older one, such as the answer to its creation, may
            have been overtaken: then only what is final about it counts once anything is known.

    Raises:
        NotYet: it names a purchase that is not here.
    """
    purchase = _find(session, intent)
    if purchase is None:
        return Effect.NOT_OURS
    if purchase.payment_intent_id not in (None, intent["id"]):
        return _second(session, purchase, intent)
    if purchase.status is _S.SUCCEEDED:
        return Effect.PAID_BEFORE
    known = purchase.payment_intent_id is not None
    purchase.payment_intent_id = intent["id"]
    if intent["status"] == "succeeded":
        return _paid(session, purchase, intent)
    if fresh or not known or intent["status"] == "canceled":
        _record(session, purchase, intent)
    return Effect.RECORDED


def adopt(session: Session, intent: Mapping[str, Any]) -> Purchase | None:
    """Write down again a purchase that our database lost, from the ids on its intent; then `sync_intent`.

    None, with an alert, unless the user is here and the intent is over the price of a package on the list it names.
    """
    purchase_id, user_id = customers.our_id(intent, billing.PURCHASE), customers.our_id(intent, billing.USER)
    price_list, _, package_id = str((intent.get("metadata") or {}).get(billing.PACKAGE, "")).partition("/")
    prices = PRICE_LISTS.get(price_list)
    package = prices.packages.get(package_id) if prices else None
    user = session.get(User, user_id) if user_id else None
    asked = package and (package.price_cents, CURRENCY)
    if purchase_id is None or user is None or package is None or (intent["amount"], intent["currency"]) != asked:
        detail = f"{intent['id']} is for a purchase that is not here and cannot be written down again."
        alerts.add(session, kind="orphan_payment", subject=intent["id"], detail=detail, key=f"orphan:{intent['id']}")
        return None
    if row := session.get(Purchase, purchase_id):
        return row
    row = Purchase(
        id=purchase_id,
        user_id=user.id,
        package_id=package.id,
        credits=Decimal(package.credits),
        bonus=Decimal(package.bonus),
        amount_cents=package.price_cents,
        currency=CURRENCY,
        price_list=price_list,
    )
    session.add(row)
    session.flush()
    return row


def _find(session: Session, intent: Mapping[str, Any]) -> Purchase | None:
    """The purchase that an intent pays for, locked; a subscription's intents carry no id of a purchase."""
    named = customers.our_id(intent, billing.PURCHASE)
    which = or_(Purchase.payment_intent_id == intent["id"], Purchase.id == named)
    rows = session.scalars(
        select(Purchase).where(which).order_by(Purchase.id).with_for_update().execution_options(populate_existing=True)
    ).all()
    if not rows and named:
        raise NotYet(f"The payment intent {intent['id']} is for the purchase {named}, which is not here.")
    return next((row for row in rows if row.payment_intent_id == intent["id"]), rows[0] if rows else None)


def _paid(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> Effect:
    user = session.get_one(User, purchase.user_id, populate_existing=True)
    if wrong := _mismatches(session, purchase, user, intent):
        purchase.status, purchase.client_secret = _S.REVIEW, None
        _alert(session, purchase, intent, "payment_mismatch", "; ".join(wrong))
        session.flush()
        return Effect.MISMATCH
    purchase.status, purchase.failure, purchase.client_secret = _S.SUCCEEDED, None, None
    purchase.customer_id = billing.ref(intent["customer"])
    purchase.paid_at = func.clock_timestamp()
    session.flush()
    sold = f"{purchase.granted.normalize():f}"
    credits.grant(
        session,
        user.id,
        purchase.granted,
        key=f"pi:{intent['id']}",
        reason=f"Purchase of {sold} credits",
        source="purchase",
        purchase_id=purchase.id,
    )
    refunds.settle(session, purchase)  # those that came before the payment did
    payload = {"purchaseId": str(purchase.id), "credits": sold, "amountCents": purchase.amount_cents}
    notifications.add(session, user.id, NotificationKind.PURCHASE, payload, key=f"purchase:{purchase.id}")
    return Effect.GRANTED


def _mismatches(session: Session, purchase: Purchase, user: User, intent: Mapping[str, Any]) -> list[str]:
    """In what the payment is not the one that was asked for, in words."""
    customer = billing.ref(intent.get("customer"))
    ours = purchase.customer_id or user.stripe_customer_id
    if ours is None and customer and customers.owner(session, customer) is None:
        ours = customers.remember(session, user.id, customer)  # the database was restored to before there was one
    compared = (
        ("cents", intent.get("amount_received"), purchase.amount_cents),
        ("currency", intent.get("currency"), purchase.currency),
        ("customer", customer, ours or "one of ours"),
    )
    return [f"{what} {paid} instead of {asked}" for what, paid, asked in compared if paid != asked]


def _record(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> None:
    """What is known of a payment that has not come. The same intent may still succeed."""
    error = intent.get("last_payment_error") or {}
    status = _STATUS.get(intent["status"])
    if status is None:
        _alert(session, purchase, intent, "unknown_status", f"unknown status {intent['status']}")
    elif status is _S.PENDING and error:
        status = _S.FAILED
    purchase.status = status or purchase.status
    purchase.client_secret = None if status is _S.CANCELED else intent.get("client_secret")
    names = {"code": "code", "declineCode": "decline_code", "message": "message"}
    purchase.failure = {ours: error.get(theirs) for ours, theirs in names.items()} if error else None
    purchase.customer_id = purchase.customer_id or _own_customer(session, purchase, intent)
    session.flush()
    if status is _S.FAILED:
        payload = {
            "purchaseId": str(purchase.id),
            "amountCents": purchase.amount_cents,
            "message": error.get("message"),
        }
        attempt = billing.ref(intent.get("latest_charge") or error.get("charge")) or intent["id"]
        key = f"payment-failed:{attempt}"
        notifications.add(session, purchase.user_id, NotificationKind.PAYMENT_FAILED, payload, key=key)


def _own_customer(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> str | None:
    """The intent's customer, if it is this user's: kept, since a user may get another one before it is paid."""
    customer = billing.ref(intent.get("customer"))
    return customer if customers.owner(session, customer) == purchase.user_id else None


def _second(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> Effect:
    """A purchase has one intent; another one appears when a lost request was made again. Only a paid one counts."""
    if intent["status"] != "succeeded":
        return Effect.RECORDED
    if purchase.status is _S.SUCCEEDED:
        _alert(session, purchase, intent, "paid_twice", f"{purchase.payment_intent_id} has paid for it before")
        return Effect.MISMATCH
    purchase.payment_intent_id = intent["id"]
    return _paid(session, purchase, intent)


def _alert(session: Session, purchase: Purchase, intent: Mapping[str, Any], kind: str, what: str) -> None:
    detail = f"{intent['id']} for the purchase {purchase.id}: {what}."
    key = f"{kind}:{intent['id']}:{what}"
    alerts.add(session, kind=kind, subject=intent["id"], detail=detail, key=key, user_id=purchase.user_id)
