"""What the app is told once Stripe did what it was asked for: kept in the request's row, shown as it is."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.payment_method import PaymentMethod
from models.purchase import Purchase
from models.stripe_request import RequestKind, StripeRequest
from models.subscription import Subscription

Answer = dict[str, Any]


def answer(session: Session, wish: StripeRequest, found: Answer) -> Answer:
    """The answer to a request, from our rows; `found` is what Stripe answered, for what we do not store."""
    match wish.kind:
        case RequestKind.PURCHASE:
            return purchase(session.get_one(Purchase, wish.subject_id))
        case RequestKind.PAYMENT_METHOD_REMOVE:
            return {}
        case RequestKind.PAYMENT_METHOD_ADD | RequestKind.PAYMENT_METHOD_DEFAULT:
            kept = select(PaymentMethod).where(PaymentMethod.stripe_id == found["id"])
            return payment_method(session.scalars(kept).one())
    row = session.scalars(select(Subscription).where(Subscription.stripe_id == found["id"])).one()
    shown = {"subscription": subscription(row), "clientSecret": _client_secret(found)}
    if wish.kind is RequestKind.SUBSCRIPTION_CANCEL:
        return shown | {"message": "The subscription ends with its period.", "endsAt": _time(row.current_period_end)}
    if wish.kind is RequestKind.SUBSCRIPTION_RESUME:
        return shown | {"message": "The subscription goes on."}
    return shown


def purchase(row: Purchase) -> Answer:
    """A purchase; `amount` in dollars, `clientSecret` while the app has to confirm it."""
    return {
        "id": str(row.id),
        "status": row.status.value,
        "clientSecret": row.client_secret,
        "amount": row.amount_cents / 100,
        "amountCents": row.amount_cents,
        "currency": row.currency,
        "packageId": row.package_id,
        "credits": _number(row.credits),
        "bonus": _number(row.bonus),
        "failure": row.failure,
        "createdAt": _time(row.created_at),
    }


def subscription(row: Subscription) -> Answer:
    """A subscription; `tier` is what it is for, whether or not it is paid yet."""
    return {
        "tier": row.tier.value,
        "status": row.status,
        "priceId": row.price_id,
        "currentPeriodStart": _time(row.current_period_start),
        "currentPeriodEnd": _time(row.current_period_end),
        "cancelAtPeriodEnd": row.cancel_at_period_end,
    }


def payment_method(row: PaymentMethod) -> Answer:
    """A payment method, as the list of them shows it."""
    return {
        "id": str(row.id),
        "type": row.type,
        "brand": row.brand,
        "last4": row.last4,
        "expMonth": row.exp_month,
        "expYear": row.exp_year,
        "isDefault": row.is_default,
        "createdAt": _time(row.created_at),
    }


def _client_secret(found: Answer) -> str | None:
    """What the app confirms the first payment with; Stripe shows it while there is something to pay."""
    invoice = found.get("latest_invoice")
    if not isinstance(invoice, dict) or invoice.get("status") != "open":
        return None
    secret = invoice.get("confirmation_secret")
    return str(secret["client_secret"]) if secret else None


def _number(credits: Any) -> int | float:
    return int(credits) if credits == int(credits) else float(credits)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
