"""Stripe's test cards: the ids, tokens and numbers of its documentation, and their behaviour."""

from dataclasses import dataclass
from typing import Any

from simulators.stripe.state.errors import StripeError


@dataclass(frozen=True)
class Card:
    """The behaviour of a test card.

    `decline` is the (error code, decline code) of its charges; `attaches` is false for cards that are declined when
    they are saved; `asks` is true for those that require 3-D Secure each time.
    """

    number: str
    brand: str = "visa"
    funding: str = "credit"
    decline: tuple[str, str] | None = None
    attaches: bool = True
    asks: bool = False
    refund: str = "succeeded"  # or `failed`, `pending`: the later status of a refund
    dispute: str = ""  # the status of the dispute that a charge causes

    @property
    def last4(self) -> str:
        return self.number[-4:]


def _declined(number: str, code: str, decline_code: str, *, attaches: bool = False) -> Card:
    return Card(number, decline=(code, decline_code), attaches=attaches)


CARDS: dict[str, Card] = {
    "visa": Card("4242424242424242"),
    "visa_debit": Card("4000056655665556", funding="debit"),
    "mastercard": Card("5555555555554444", brand="mastercard"),
    "amex": Card("378282246310005", brand="amex"),
    "discover": Card("6011111111111117", brand="discover"),
    "chargeDeclined": _declined("4000000000000002", "card_declined", "generic_decline"),
    "chargeDeclinedInsufficientFunds": _declined("4000000000009995", "card_declined", "insufficient_funds"),
    "chargeDeclinedLostCard": _declined("4000000000009987", "card_declined", "lost_card"),
    "chargeDeclinedStolenCard": _declined("4000000000009979", "card_declined", "stolen_card"),
    "chargeDeclinedExpiredCard": _declined("4000000000000069", "expired_card", "expired_card"),
    "chargeDeclinedIncorrectCvc": _declined("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
    "chargeDeclinedProcessingError": _declined("4000000000000119", "processing_error", "processing_error"),
    "chargeCustomerFail": _declined("4000000000000341", "card_declined", "generic_decline", attaches=True),
    "authenticationRequired": Card("4000002760003184", asks=True),
    "refundFail": Card("4000000000005126", refund="failed"),
    "pendingRefund": Card("4000000000007726", refund="pending"),
    "createDispute": Card("4000000000000259", dispute="needs_response"),
    "createDisputeInquiry": Card("4000000000001976", dispute="warning_needs_response"),
}
_BY_NUMBER = {card.number: name for name, card in CARDS.items()}

AUTHENTICATION_REQUIRED = ("authentication_required", "authentication_required")
_MESSAGES = {
    "card_declined": "Your card was declined.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


def card_named(name: str) -> str | None:
    """The card for `pm_card_visa`, `tok_visa` or a card number; None if it is not a test card."""
    for prefix in ("pm_card_", "tok_"):
        if name.startswith(prefix) and name.removeprefix(prefix) in CARDS:
            return name.removeprefix(prefix)
    return _BY_NUMBER.get(name.replace(" ", ""))


def decline_fields(code: str, decline_code: str) -> dict[str, Any]:
    """The fields of a card error."""
    message = _MESSAGES[code]
    if decline_code == "insufficient_funds":
        message = "Your card has insufficient funds."
    advice = "do_not_try_again" if decline_code in ("lost_card", "stolen_card") else "try_again_later"
    return {
        "type": "card_error",
        "code": code,
        "decline_code": decline_code,
        "message": message,
        "advice_code": advice,
        "doc_url": "https://stripe.com/docs/error-codes/" + code.replace("_", "-"),
    }


def card_error(decline: tuple[str, str], **fields: Any) -> StripeError:
    """The error 402 of a declined card; `fields` identify the payment."""
    said = decline_fields(*decline) | fields
    message = said.pop("message")
    return StripeError(402, message, **said)


def card_details(name: str) -> dict[str, Any]:
    """The `card` of a payment method."""
    card = CARDS[name]
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"fp{card.number[-14:]}",
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
