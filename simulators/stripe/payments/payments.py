"""Confirmation of payment intents: a charge, a decline, or 3-D Secure."""

from copy import deepcopy
from typing import Any

from simulators.stripe.payments import payment_methods
from simulators.stripe.payments.cards import AUTHENTICATION_REQUIRED, Card, card_error, decline_fields
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import StripeError, invalid

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")

_CARD_OPTIONS = {"installments": None, "network": None, "request_three_d_secure": "automatic"}
_EMPTY_IN_INTENT = (
    "application application_fee_amount automatic_payment_methods canceled_at cancellation_reason customer "
    "customer_account description excluded_payment_method_types last_payment_error latest_charge next_action "
    "on_behalf_of payment_method payment_method_configuration_details processing receipt_email review "
    "setup_future_usage shipping source statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
)
_EMPTY_IN_CHARGE = (
    "application application_fee application_fee_amount failure_balance_transaction on_behalf_of radar_options "
    "receipt_number review shipping source source_transfer statement_descriptor statement_descriptor_suffix "
    "transfer_data transfer_group"
)


def new_intent(world: AccountState, amount: int, currency: str, **fields: Any) -> StripeObject:
    """A payment intent that has not been confirmed."""
    intent_id = world.new_id("pi")
    base: dict[str, Any] = dict.fromkeys(_EMPTY_IN_INTENT.split()) | {
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{world.new_id('s')[3:]}",
        "confirmation_method": "automatic",
        "currency": currency,
        "payment_method_options": {"card": dict(_CARD_OPTIONS)},
        "payment_method_types": ["card"],
    }
    base |= fields
    base.setdefault("status", "requires_confirmation" if base["payment_method"] else "requires_payment_method")
    intent = world.add("pi", "payment_intent", id=intent_id, **base)
    world.emit("payment_intent.created", intent)
    return intent


def confirm(
    world: AccountState, intent: StripeObject, *, off_session: bool = False, return_url: str | None = None
) -> None:
    """Charge the intent's payment method; a decline is recorded and raised."""
    if intent["status"] not in OPEN:
        raise unexpected(intent, "confirm")
    if not intent["payment_method"]:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=deepcopy(intent),
        )
    method = world.get("payment_method", intent["payment_method"], "payment_method")
    payment_methods.belongs(world, method, intent["customer"])
    card = payment_methods.behaviour(world, method)
    if card.asks and not off_session:
        ask(world, intent, return_url)
    else:
        decline = AUTHENTICATION_REQUIRED if card.asks else card.decline
        settle(world, intent, decline)


def ask(world: AccountState, intent: StripeObject, return_url: str | None) -> None:
    """Require 3-D Secure: the customer's bank wants to authenticate the customer."""
    intent["status"] = "requires_action"
    url = f"{world.base_url}/3d_secure/{intent['id']}"
    if return_url:
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    else:
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}
    intent["next_action"] = action
    world.emit("payment_intent.requires_action", intent)
    world.after_payment(intent)


def settle(world: AccountState, intent: StripeObject, decline: tuple[str, str] | None) -> None:
    """Let the bank approve, decline (which raises), or decide later."""
    intent["next_action"] = None
    if decline:
        raise _refused(world, intent, decline)
    if world.keep_processing and intent["status"] != "processing":
        intent["status"] = "processing"
        world.emit("payment_intent.processing", intent)
        world.after_payment(intent)
        return
    method = world.get("payment_method", intent["payment_method"])
    _save_method(world, intent, method)
    charge = _charge(world, intent, method, None)
    intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
    intent["last_payment_error"] = None
    world.emit("charge.succeeded", charge)
    world.emit("payment_intent.succeeded", intent)
    world.after_payment(intent)
    card: Card = payment_methods.behaviour(world, method)
    if card.dispute:
        world.after_charge(charge, card.dispute)


def fail_authentication(world: AccountState, intent: StripeObject) -> None:
    """Fail the intent because the customer did not pass 3-D Secure."""
    if intent["status"] != "requires_action":
        raise unexpected(intent, "fail")
    method = world.get("payment_method", intent["payment_method"])
    error = {
        "type": "invalid_request_error",
        "code": "payment_intent_authentication_failure",
        "doc_url": "https://stripe.com/docs/error-codes/payment-intent-authentication-failure",
        "message": "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
        "PaymentMethod to attempt to fulfill this PaymentIntent again.",
        "payment_method": deepcopy(method),
    }
    intent |= {"status": "requires_payment_method", "payment_method": None, "next_action": None}
    intent["last_payment_error"] = error
    world.emit("payment_intent.payment_failed", intent)
    world.after_payment(intent)


def cancel(world: AccountState, intent: StripeObject, reason: str | None) -> None:
    """Close an intent that has not been paid."""
    if intent["status"] not in OPEN:
        raise unexpected(intent, "cancel")
    intent |= {"status": "canceled", "canceled_at": world.now(), "cancellation_reason": reason, "next_action": None}
    world.emit("payment_intent.canceled", intent)


def unexpected(intent: StripeObject, verb: str) -> StripeError:
    """The error 400 for an intent in the wrong state."""
    status = intent["status"]
    if verb == "confirm" and status == "succeeded":
        why = "it has already succeeded after being previously confirmed."
    else:
        why = f"it has a status of {status}."
    return invalid(
        f"You cannot {verb} this PaymentIntent because {why}",
        code="payment_intent_unexpected_state",
        payment_intent=deepcopy(intent),
    )


def _refused(world: AccountState, intent: StripeObject, decline: tuple[str, str]) -> StripeError:
    method = world.get("payment_method", intent["payment_method"])
    charge = _charge(world, intent, method, decline)
    error = decline_fields(*decline) | {"charge": charge["id"], "payment_method": deepcopy(method)}
    intent |= {"status": "requires_payment_method", "payment_method": None, "latest_charge": charge["id"]}
    intent["last_payment_error"] = error
    world.emit("charge.failed", charge)
    world.emit("payment_intent.payment_failed", intent)
    world.after_payment(intent)
    return card_error(decline, charge=charge["id"], payment_method=deepcopy(method), payment_intent=deepcopy(intent))


def _save_method(world: AccountState, intent: StripeObject, method: StripeObject) -> None:
    world.hidden[method["id"]]["spent"] = True
    if intent["customer"] and intent["setup_future_usage"] and not method["customer"]:
        method["customer"] = intent["customer"]
        world.emit("payment_method.attached", method)


def _charge(
    world: AccountState, intent: StripeObject, method: StripeObject, decline: tuple[str, str] | None
) -> StripeObject:
    charge_id = world.new_id("ch")
    return world.add(
        "ch",
        "charge",
        id=charge_id,
        **dict.fromkeys(_EMPTY_IN_CHARGE.split()),
        amount=intent["amount"],
        amount_captured=0 if decline else intent["amount"],
        amount_refunded=0,
        balance_transaction=None if decline else world.new_id("txn"),
        billing_details=deepcopy(method["billing_details"]),
        calculated_statement_descriptor="AGENTFORGE",
        captured=not decline,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        disputed=False,
        **_failure(decline),
        fraud_details={},
        metadata=dict(intent["metadata"]),
        outcome=_outcome(decline),
        paid=not decline,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={"card": _card_of(intent, method), "type": "card"},
        receipt_email=intent["receipt_email"],
        receipt_url=None if decline else f"{world.base_url}/receipts/{charge_id}",
        refunded=False,
        status="failed" if decline else "succeeded",
    )


def _failure(decline: tuple[str, str] | None) -> StripeObject:
    said = decline_fields(*decline) if decline else {}
    return {"failure_code": said.get("code"), "failure_message": said.get("message")}


def _card_of(intent: StripeObject, method: StripeObject) -> StripeObject:
    return {name: method["card"][name] for name in _CARD_OF_CHARGE} | {"amount_authorized": intent["amount"]}


_CARD_OF_CHARGE = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "wallet")


def _outcome(decline: tuple[str, str] | None) -> StripeObject:
    return {
        "advice_code": "try_again_later" if decline else None,
        "network_advice_code": None,
        "network_decline_code": "01" if decline else None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": decline[1] if decline else None,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "The bank did not approve this payment." if decline else "Payment complete.",
        "type": "issuer_declined" if decline else "authorized",
    }
