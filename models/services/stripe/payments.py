"""Updates purchases from their payment intents at Stripe.

Credits are granted in one place, `sync_intent`, for webhooks, for workers with a response of Stripe, and for
reconciliation.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from models.errors import NotYet
from models.rules.prices.pricing import PRICE_LISTS, Package
from models.rules.stripe import billing
from models.services.credits import ledger
from models.services.notifications import notifications
from models.services.operations import alerts
from models.services.stripe import customers, refunds, second_payments
from models.tables import NotificationKind, Purchase, PurchaseStatus, User

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
    """The effect of a payment intent on its purchase."""

    GRANTED = "granted"
    PAID_BEFORE = "paid_before"
    RECORDED = "recorded"
    MISMATCH = "mismatch"  # nothing was granted, and an alert says why
    PAID_TWICE = "paid_twice"  # nothing was granted, because another intent paid for the purchase; raises an alert
    NOT_OURS = "not_ours"


def sync_intent(session: Session, intent: Mapping[str, Any], *, fresh: bool = True) -> Effect:
    """Update a purchase from its payment intent; if that succeeded, grant the sold credits, once.

    Args:
        session: the session of the transaction.
        intent: the payment intent as it is at Stripe.
        fresh: whether it was read after `stripe_events.lock` on its id. One that was read earlier, such as the response
            to its creation, may be outdated, so only final states of it are applied once an intent is known.

    Raises:
        NotYet: its metadata names a purchase that does not exist.
    """
    purchase = _find(session, intent)
    if purchase is None:
        return Effect.NOT_OURS
    if purchase.payment_intent_id not in (None, intent["id"]):
        return _second(session, purchase, intent)
    if purchase.status is _S.SUCCEEDED:
        _restore_sale(session, purchase, intent)
        return Effect.PAID_BEFORE
    known = purchase.payment_intent_id is not None
    purchase.payment_intent_id = intent["id"]
    if intent["status"] == "succeeded":
        return _paid(session, purchase, intent)
    if fresh or not known or intent["status"] == "canceled":
        _record(session, purchase, intent)
    return Effect.RECORDED


def restore_purchase(session: Session, intent: Mapping[str, Any]) -> Purchase | None:
    """Recreate a purchase that our database lost, from the metadata of its intent; call `sync_intent` afterwards.

    Returns None and raises an alert if the user does not exist, or the amount is not the price of the named package.
    """
    purchase_id, user_id = customers.our_id(intent, billing.PURCHASE), customers.our_id(intent, billing.USER)
    package = package_of(intent)
    user = session.get(User, user_id) if user_id else None
    price = package and (package.price_cents, CURRENCY)
    if purchase_id is None or user is None or package is None or (intent["amount"], intent["currency"]) != price:
        detail = f"{intent['id']} is for a purchase that does not exist here and cannot be recreated."
        alerts.add(session, kind="orphan_payment", subject=intent["id"], detail=detail, key=f"orphan:{intent['id']}")
        return None
    if row := session.get(Purchase, purchase_id):
        return row
    row = Purchase(id=purchase_id, user_id=user.id, **sale(package, _names(intent)[0]))
    session.add(row)
    session.flush()
    return row


def sale(package: Package, price_list: str) -> dict[str, Any]:
    """The values of a purchase that come from its package, by column."""
    return {
        "package_id": package.id,
        "credits": Decimal(package.credits),
        "bonus": Decimal(package.bonus),
        "amount_cents": package.price_cents,
        "currency": CURRENCY,
        "price_list": price_list,
    }


def package_of(intent: Mapping[str, Any]) -> Package | None:
    """The package that an intent names, from the price list that it names; None if either is unknown."""
    price_list, package_id = _names(intent)
    prices = PRICE_LISTS.get(price_list)
    return prices.packages.get(package_id) if prices else None


def _names(intent: Mapping[str, Any]) -> tuple[str, str]:
    """The names of the price list and the package in the metadata of an intent."""
    price_list, _, package_id = str((intent.get("metadata") or {}).get(billing.PACKAGE, "")).partition("/")
    return price_list, package_id


def _restore_sale(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> None:
    """Restore the columns of a paid purchase from its package, if payment and price list agree.

    A later refund would claw back the share of a wrong amount otherwise. The ledger is not changed here; the sync of
    refunds and disputes, which follows, moves the difference.
    """
    package, (price_list, _) = package_of(intent), _names(intent)
    ids = (customers.our_id(intent, billing.PURCHASE), customers.our_id(intent, billing.USER))
    paid = (intent["status"], intent.get("amount_received"), intent["currency"])
    if package is None or ids != (purchase.id, purchase.user_id):
        return
    if paid != ("succeeded", package.price_cents, CURRENCY):
        return
    if purchase.credits_taken > package.credits + package.bonus:
        return  # more was clawed back than granted, which a person has to decide
    for column, value in sale(package, price_list).items():
        setattr(purchase, column, value)
    session.flush()


def _find(session: Session, intent: Mapping[str, Any]) -> Purchase | None:
    """The purchase of an intent, locked; intents of subscriptions have no purchase in their metadata."""
    named = customers.our_id(intent, billing.PURCHASE)
    matches = or_(Purchase.payment_intent_id == intent["id"], Purchase.id == named)
    query = select(Purchase).where(matches).order_by(Purchase.id).with_for_update()
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    if not rows and named:
        raise NotYet(f"The payment intent {intent['id']} is for the purchase {named}, which does not exist here.")
    return next((row for row in rows if row.payment_intent_id == intent["id"]), rows[0] if rows else None)


def _paid(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> Effect:
    user = session.get_one(User, purchase.user_id, populate_existing=True)
    if wrong := _mismatches(session, purchase, user, intent):
        purchase.status, purchase.client_secret, purchase.authentication_url = _S.REVIEW, None, None
        _alert(session, purchase, intent, "payment_mismatch", "; ".join(wrong))
        session.flush()
        return Effect.MISMATCH
    purchase.status, purchase.failure = _S.SUCCEEDED, None
    purchase.client_secret, purchase.authentication_url = None, None
    purchase.customer_id = billing.ref(intent["customer"])
    purchase.paid_at = func.clock_timestamp()
    session.flush()
    sold = f"{purchase.granted.normalize():f}"
    ledger.grant(
        session,
        user.id,
        purchase.granted,
        key=f"pi:{intent['id']}",
        reason=f"Purchase of {sold} credits",
        source="purchase",
        purchase_id=purchase.id,
    )
    refunds.settle(session, purchase)  # refunds and disputes that were received before the payment
    payload = {"purchaseId": str(purchase.id), "credits": sold, "amountCents": purchase.amount_cents}
    notifications.add(session, user.id, NotificationKind.PURCHASE, payload, key=f"purchase:{purchase.id}")
    return Effect.GRANTED


def _mismatches(session: Session, purchase: Purchase, user: User, intent: Mapping[str, Any]) -> list[str]:
    """The differences between a payment and its purchase, as texts."""
    customer = billing.ref(intent.get("customer"))
    ours = purchase.customer_id or user.stripe_customer_id
    if ours is None and customer and customers.owner(session, customer) is None:
        ours = customers.remember(session, user.id, customer)  # the database was restored to an earlier state
    compared = (
        ("cents", intent.get("amount_received"), purchase.amount_cents),
        ("currency", intent.get("currency"), purchase.currency),
        ("customer", customer, ours or "one of ours"),
    )
    return [f"{name} {paid} instead of {expected}" for name, paid, expected in compared if paid != expected]


def _record(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> None:
    """Store the state of an intent that has not succeeded, and may still do so."""
    error = intent.get("last_payment_error") or {}
    status = _STATUS.get(intent["status"])
    if status is None:
        _alert(session, purchase, intent, "unknown_status", f"unknown status {intent['status']}")
    elif status is _S.PENDING and error:
        status = _S.FAILED
    purchase.status = status or purchase.status
    purchase.client_secret = None if status is _S.CANCELED else intent.get("client_secret")
    purchase.authentication_url = billing.authentication_url(intent)
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
    """The intent's customer, if it is this user's; stored, as the user's customer may change before the payment."""
    customer = billing.ref(intent.get("customer"))
    return customer if customers.owner(session, customer) == purchase.user_id else None


def _second(session: Session, purchase: Purchase, intent: Mapping[str, Any]) -> Effect:
    """Handle another intent for a purchase, created by a repeat of a lost request; it counts only if it is paid."""
    if intent["status"] != "succeeded":
        return Effect.RECORDED
    if purchase.status is _S.SUCCEEDED:
        _alert(session, purchase, intent, second_payments.KIND, f"{purchase.payment_intent_id} paid for it before")
        return Effect.PAID_TWICE
    purchase.payment_intent_id = intent["id"]
    return _paid(session, purchase, intent)


def _alert(session: Session, purchase: Purchase, intent: Mapping[str, Any], kind: str, problem: str) -> None:
    detail = f"{intent['id']} for the purchase {purchase.id}: {problem}."
    key = f"{kind}:{intent['id']}:{problem}"
    alerts.add(session, kind=kind, subject=intent["id"], detail=detail, key=key, user_id=purchase.user_id)
