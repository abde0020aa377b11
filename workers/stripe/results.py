"""Results of Stripe requests in the app's format; they are stored in the request's row and returned unchanged."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.rules.stripe.billing import authentication_url
from models.rules.stripe.currencies import whole_units
from models.tables import PaymentMethod, Purchase, RequestKind, StripeRequest, Subscription
from workers.stripe.operation_result import FIRST_PAYMENT

StripeResult = dict[str, Any]


def stripe_result(session: Session, operation: StripeRequest, found: StripeResult) -> StripeResult:
    """The result of a request, built from our rows and from Stripe's object `found`."""
    match operation.kind:
        case RequestKind.PURCHASE:
            return purchase(session.get_one(Purchase, operation.subject_id))
        case (
            RequestKind.PAYMENT_METHOD_REMOVE
            | RequestKind.ACCOUNT_CLOSE
            | RequestKind.PURCHASE_CANCEL
            | RequestKind.CUSTOMER_UPDATE
        ):
            return {}
        case RequestKind.SUBSCRIPTION_PREVIEW:
            return preview(operation, found)
        case RequestKind.PAYMENT_METHOD_ADD | RequestKind.PAYMENT_METHOD_DEFAULT:
            kept = select(PaymentMethod).where(PaymentMethod.stripe_id == found["id"])
            return payment_method(session.scalars(kept).one())
    row = session.scalars(select(Subscription).where(Subscription.stripe_id == found["id"])).one()
    payment = found.get(FIRST_PAYMENT) or {}
    shown: StripeResult = {
        "subscription": subscription(row),
        "clientSecret": _client_secret(found, payment),
        "authenticationUrl": authentication_url(payment),
    }
    if payment.get("status") == "requires_action":
        shown["subscription"]["status"] = "requires_action"  # the app confirms it with the client secret
    if operation.kind is RequestKind.SUBSCRIPTION_CANCEL:
        return shown | {"message": "The subscription ends with its period.", "endsAt": _time(row.current_period_end)}
    if operation.kind is RequestKind.SUBSCRIPTION_RESUME:
        return shown | {"message": "The subscription goes on."}
    return shown


def purchase(row: Purchase) -> StripeResult:
    """A purchase; `amount` in dollars, `clientSecret` while the app has to confirm it."""
    return {
        "id": str(row.id),
        "status": row.status.value,
        "clientSecret": row.client_secret,
        "authenticationUrl": row.authentication_url,
        "amount": float(whole_units(row.amount_cents, row.currency)),
        "amountCents": row.amount_cents,
        "currency": row.currency,
        "packageId": row.package_id,
        "credits": _number(row.credits),
        "bonus": _number(row.bonus),
        "failure": row.failure,
        "createdAt": _time(row.created_at),
    }


def subscription(row: Subscription) -> StripeResult:
    """A subscription; `tier` is the tier that it grants once it is paid."""
    return {
        "tier": row.tier.value,
        "status": row.status,
        "priceId": row.price_id,
        "currentPeriodStart": _time(row.current_period_start),
        "currentPeriodEnd": _time(row.current_period_end),
        "cancelAtPeriodEnd": row.cancel_at_period_end,
    }


def preview(operation: StripeRequest, invoice: StripeResult) -> StripeResult:
    """What a change of the plan costs: now for a higher plan, with the next period for a lower one."""
    is_now, currency = operation.params["upgrade"], invoice["currency"]
    return {
        "priceId": operation.params["price"],
        "chargedNow": is_now,
        "chargedAt": None if is_now else _time(datetime.fromtimestamp(invoice["period_end"], UTC)),
        "amount": float(whole_units(invoice["amount_due"], currency)),
        "amountCents": invoice["amount_due"],
        "currency": currency.upper(),
        "lines": [
            {"description": line["description"], "amount": float(whole_units(line["amount"], currency))}
            for line in invoice["lines"]["data"]
        ],
    }


def payment_method(row: PaymentMethod) -> StripeResult:
    """A payment method, in the format of their list."""
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


def _client_secret(found: StripeResult, payment: StripeResult) -> str | None:
    """The secret with which the app confirms the first payment; Stripe shows it while the invoice is open."""
    invoice = found.get("latest_invoice")
    if not isinstance(invoice, dict) or invoice.get("status") != "open" or payment.get("status") == "processing":
        return None
    secret = invoice.get("confirmation_secret")
    return str(secret["client_secret"]) if secret else None


def _number(credits: Any) -> int | float:
    return int(credits) if credits == int(credits) else float(credits)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
