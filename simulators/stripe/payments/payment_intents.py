"""API endpoints of payment intents, for the server's secret key and for the app's client secret."""

import secrets
from copy import deepcopy
from typing import Any

from simulators.stripe.payments import payment_methods, payments
from simulators.stripe.payments.cards import AUTHENTICATION_REQUIRED, card_error
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import StripeError, bad_parameter, invalid
from simulators.stripe.state.paging import page
from simulators.stripe.state.parameters import Params, merge_metadata
from simulators.stripe.state.routing import endpoint

_COPIED = (
    "description receipt_email setup_future_usage statement_descriptor statement_descriptor_suffix shipping "
    "transfer_group"
)
_FIELDS = f"amount currency customer payment_method allowed_payment_method_types metadata {_COPIED}"
_CONFIRMING = "off_session return_url error_on_requires_action use_stripe_sdk"
_SHOWN_TO_APPS = (
    "id object amount amount_details automatic_payment_methods canceled_at cancellation_reason capture_method "
    "client_secret confirmation_method created currency description last_payment_error livemode next_action "
    "payment_method payment_method_types processing receipt_email setup_future_usage shipping status"
)
_CREATE = f"{_FIELDS} confirm capture_method confirmation_method automatic_payment_methods {_CONFIRMING}"


@endpoint("POST", "/v1/payment_intents", "PaymentIntentCreateParams", _CREATE)
def create(world: AccountState, params: Params) -> StripeObject:
    _check_amount(params)
    for name in ("off_session", "return_url", "error_on_requires_action"):
        if name in params and not params.get("confirm"):
            raise bad_parameter(f"You can only set `{name}` when `confirm` is true.", name, "parameter_invalid_empty")
    if params.get("capture_method") == "manual":
        raise bad_parameter("The Stripe simulator captures at once.", "capture_method", "simulator_unsupported")
    fields = _fields(world, params)
    automatic = params.get("automatic_payment_methods")
    if "allowed_payment_method_types" not in params:
        fields["automatic_payment_methods"] = {"allow_redirects": "always", "enabled": True} | (automatic or {})
    redirects = fields.get("automatic_payment_methods") or {"enabled": False}
    if params.get("confirm"):
        _want_return_url(redirects, params)
        if not fields.get("payment_method"):
            raise missing_method()
    intent = payments.new_intent(world, params["amount"], params["currency"].lower(), **fields)
    if params.get("confirm"):
        _confirm(world, intent, params)
    return intent


@endpoint("GET", "/v1/payment_intents/{intent}", "PaymentIntentRetrieveParams", "client_secret", publishable=True)
def retrieve(world: AccountState, params: Params, intent: str) -> StripeObject:
    return world.get("payment_intent", intent)


@endpoint("GET", "/v1/payment_intents", "PaymentIntentListParams", "customer")
def index(world: AccountState, params: Params) -> StripeObject:
    return page(params, "/v1/payment_intents", world.all("payment_intent", customer=params.get("customer")))


@endpoint("POST", "/v1/payment_intents/{intent}", "PaymentIntentUpdateParams", _FIELDS)
def update(world: AccountState, params: Params, intent: str) -> StripeObject:
    found = world.get("payment_intent", intent)
    if found["status"] not in payments.OPEN and set(params) - {"metadata", "description"}:
        raise payments.unexpected(found, "update")
    _check_amount({"amount": found["amount"], "currency": found["currency"]} | params)
    found |= _fields(world, params, found) | {name: params[name] for name in ("amount", "currency") if name in params}
    if found["payment_method"] and found["status"] == "requires_payment_method":
        found["status"] = "requires_confirmation"
    return found


@endpoint(
    "POST",
    "/v1/payment_intents/{intent}/confirm",
    "PaymentIntentConfirmParams",
    f"payment_method setup_future_usage receipt_email {_CONFIRMING}",
    publishable=True,
)
def confirm(world: AccountState, params: Params, intent: str, *, from_app: bool = False) -> StripeObject:
    found = world.get("payment_intent", intent)
    if found["status"] not in payments.OPEN:
        raise payments.unexpected(found, "confirm")
    if not from_app:
        _want_return_url(found["automatic_payment_methods"] or {"enabled": False}, params)
    found |= _fields(world, params, found)
    _confirm(world, found, params)
    return found


@endpoint("POST", "/v1/payment_intents/{intent}/cancel", "PaymentIntentCancelParams", "cancellation_reason")
def cancel(world: AccountState, params: Params, intent: str) -> StripeObject:
    found = world.get("payment_intent", intent)
    if world.hidden[intent].get("invoice"):
        raise invalid("You cannot cancel this PaymentIntent because it is for an invoice; void the invoice instead.")
    payments.cancel(world, found, params.get("cancellation_reason"))
    return found


def of_client_secret(world: AccountState, intent_id: str, client_secret: str | None) -> StripeObject:
    """The intent, if the client secret fits."""
    intent = world.get("payment_intent", intent_id)
    if not client_secret or not secrets.compare_digest(client_secret, intent["client_secret"]):
        raise invalid("The client_secret provided does not match the PaymentIntent.", param="client_secret")
    return intent


def shown_to_app(intent: StripeObject) -> StripeObject:
    """The fields that an app may see."""
    return {name: intent[name] for name in _SHOWN_TO_APPS.split()}


def missing_method() -> StripeError:
    message = (
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
        "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment "
        "method or ConfirmationToken."
    )
    return invalid(message, code="payment_intent_unexpected_state")


def _confirm(world: AccountState, intent: StripeObject, params: Params) -> None:
    asks = wants_3ds(world, intent)
    if asks and params.get("error_on_requires_action"):
        raise card_error(AUTHENTICATION_REQUIRED, payment_intent=deepcopy(intent))
    off_session = params.get("off_session", False)
    payments.confirm(world, intent, off_session=bool(off_session), return_url=params.get("return_url"))


def wants_3ds(world: AccountState, intent: StripeObject) -> bool:
    """Whether the card of the intent requires 3-D Secure."""
    method = world.objects["payment_method"].get(intent["payment_method"] or "")
    return method is not None and payment_methods.behaviour(world, method).asks


def _fields(world: AccountState, params: Params, intent: StripeObject | None = None) -> dict[str, Any]:
    """The fields of an intent in a request, with its payment method resolved."""
    fields: dict[str, Any] = {name: params[name] or None for name in _COPIED.split() if name in params}
    customer = intent["customer"] if intent else None
    if "customer" in params:
        customer = fields["customer"] = world.get("customer", params["customer"], "customer")["id"]
    if "metadata" in params:
        fields["metadata"] = merge_metadata(intent["metadata"] if intent else {}, params)
    if params.get("payment_method"):
        method = payment_methods.resolve(world, params["payment_method"])
        payment_methods.belongs(world, method, customer)
        fields["payment_method"] = method["id"]
    if allowed := params.get("allowed_payment_method_types"):
        if "card" not in allowed:
            message = "The Stripe simulator pays by card only."
            raise bad_parameter(message, "allowed_payment_method_types", "simulator_unsupported")
        fields |= {"allowed_payment_method_types": allowed, "payment_method_types": allowed}
    return fields


def _check_amount(params: Params) -> None:
    if params["amount"] < 1:
        raise bad_parameter("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if params["amount"] < 50:
        raise invalid("Amount must be at least $0.50 usd", param="amount", code="amount_too_small")
    if params["amount"] > 99_999_999:
        raise invalid("Amount must be no more than $999,999.99", param="amount", code="amount_too_large")
    if len(params["currency"]) != 3:
        raise invalid(f"Invalid currency: {params['currency']}.", param="currency")


def _want_return_url(automatic: StripeObject, params: Params) -> None:
    if automatic["enabled"] and automatic["allow_redirects"] != "never" and not params.get("return_url"):
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. If "
            "you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
            "`true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents.",
        )
