"""Stripe's errors and whether they may be retried.

Each error says whether a retry can help: with the same key, or only after checking what happened. None of them carries
a key of ours, a client secret or a card; Stripe's own sentences are shown for declined cards only.
"""

import stripe

from models.serialization import Json
from workers.gateways.base import CallFailed

DECLINED = "The card was declined."
UNAVAILABLE_MESSAGE = "The payment service is unreachable."


class StripeFailed(CallFailed):
    """Stripe did not do the request, or its outcome is unknown; `request_id` identifies it for Stripe's support."""

    def __init__(self, code: str, detail: str, *, retryable: bool = False, outcome: str = "failed") -> None:
        super().__init__(code, detail, retryable=retryable, outcome=outcome)
        self.request_id: str | None = None
        self.reason = ""  # Stripe's developer message, for the log


class StripeDeclined(StripeFailed):
    """The bank declined. Final for this attempt; another card may still succeed.

    `decline_code` is the bank's reason where it gave one; `payment_intent` the object as it stands after the attempt.
    """

    def __init__(self, detail: str, *, code: str, decline_code: str | None, payment_intent: Json) -> None:
        super().__init__(code, detail)
        self.decline_code = decline_code
        self.payment_intent = payment_intent


class StripeRefused(StripeFailed):
    """Stripe rejects the request: our bug, or the object's state does not allow it."""

    def __init__(self, code: str, detail: str, *, param: str | None) -> None:
        super().__init__(code, detail)
        self.param = param

    @property
    def missing(self) -> bool:
        """Whether an object named in the request does not exist at Stripe."""
        return self.code == "resource_missing"


class StripeMisconfigured(StripeFailed):
    """Our key is wrong or lacks a permission: nothing happened, and only an operator can correct it."""


class StripeForbidden(StripeMisconfigured):
    """Our key is valid but lacks the permission for this call."""


class StripeKeyReused(StripeFailed):
    """The idempotency key was used for another request: check its effect before using a new key."""


class StripeBusy(StripeFailed):
    """Another request with the same key is under way: retry with the same key."""


class StripeRateLimited(StripeFailed):
    """Too many requests, and the retry budget is spent: nothing happened, retry later."""


class StripeUnknown(StripeFailed):
    """No usable response came, so it may have happened: retry with the same key, which returns the first outcome."""


class StripeBroken(StripeFailed):
    """Stripe responded with 500 and stores that under the key: check the effect before using a new key."""


def ours(error: stripe.StripeError) -> StripeFailed:
    """Convert an error of the SDK."""
    failed = _translate(error)
    failed.request_id = error.request_id
    names_key = isinstance(failed, StripeMisconfigured)  # Stripe's message quotes a part of the key
    failed.reason = "" if names_key else (error.user_message or "")[:300]
    if isinstance(failed, StripeForbidden):
        failed.reason = "our key has no permission for this"
    failed.retry_after = retry_after(error)
    return failed


def _translate(error: stripe.StripeError) -> StripeFailed:
    match error:
        case stripe.CardError():
            return _declined(error)
        case stripe.RateLimitError():
            return StripeRateLimited("stripe_rate_limited", UNAVAILABLE_MESSAGE, retryable=True)
        case stripe.IdempotencyError():
            return StripeKeyReused("stripe_key_reused", UNAVAILABLE_MESSAGE, outcome="unknown")
        case stripe.PermissionError():
            return StripeForbidden("payments_unavailable", "Payments are temporarily unavailable.")
        case stripe.AuthenticationError():
            return StripeMisconfigured("payments_unavailable", "Payments are temporarily unavailable.")
        case stripe.InvalidRequestError():
            return StripeRefused(error.code or "stripe_refused", "The payment service refused this.", param=error.param)
        case stripe.APIConnectionError():
            return StripeUnknown("stripe_unreachable", UNAVAILABLE_MESSAGE, retryable=True, outcome="unknown")
    if error.http_status == 409:
        return StripeBusy("stripe_busy", UNAVAILABLE_MESSAGE, retryable=True, outcome="unknown")
    if error.http_status is not None and 400 <= error.http_status < 500:
        return StripeRefused("stripe_refused", "The payment service refused this.", param=None)
    if error.http_status == 500:
        return StripeBroken("stripe_broken", UNAVAILABLE_MESSAGE, retryable=True, outcome="unknown")
    return StripeUnknown("stripe_unreachable", UNAVAILABLE_MESSAGE, retryable=True, outcome="unknown")


def retry_after(error: stripe.StripeError) -> float | None:
    """Stripe's Retry-After in seconds, None without one."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


def declined(intent: Json) -> StripeDeclined:
    """The decline recorded in a payment intent, for declines that did not come as an error."""
    said = intent.get("last_payment_error") or {}
    code, decline_code = said.get("code") or "card_declined", said.get("decline_code")
    return StripeDeclined(said.get("message") or DECLINED, code=code, decline_code=decline_code, payment_intent=intent)


def _declined(error: stripe.CardError) -> StripeDeclined:
    body = error.json_body.get("error", {}) if isinstance(error.json_body, dict) else {}
    return StripeDeclined(
        error.user_message or DECLINED,
        code=error.code or "card_declined",
        decline_code=body.get("decline_code"),
        payment_intent=body.get("payment_intent"),
    )
