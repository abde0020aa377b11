"""What Stripe's refusals and failures mean to us.

Every error says whether asking again can help, with the same key or only after a look at what happened. None of them
carries a key of ours, a client secret or a card; Stripe's own sentences are shown for declined cards alone.
"""

from typing import Any

import stripe

from workers.gateways.base import CallFailed

Json = Any

DECLINED = "The card was declined."
AWAY = "The payment service cannot be reached just now."


class StripeFailed(CallFailed):
    """Stripe did not do what we asked, or we cannot know; `request_id` is how Stripe's support knows the call."""

    def __init__(self, code: str, detail: str, *, retryable: bool = False, outcome: str = "failed") -> None:
        super().__init__(code, detail, retryable=retryable, outcome=outcome)
        self.request_id: str | None = None
        self.reason = ""  # for the log: what Stripe said to the programmer


class StripeDeclined(StripeFailed):
    """The bank said no. Final for this attempt; the same payment may still succeed with another card.

    `decline_code` is the bank's reason where it gave one; `payment_intent` the object as it stands after the attempt.
    """

    def __init__(self, detail: str, *, code: str, decline_code: str | None, payment_intent: Json) -> None:
        super().__init__(code, detail)
        self.decline_code = decline_code
        self.payment_intent = payment_intent


class StripeRefused(StripeFailed):
    """The request makes no sense to Stripe: a bug of ours, or a wish that its object's state does not allow."""

    def __init__(self, code: str, detail: str, *, param: str | None) -> None:
        super().__init__(code, detail)
        self.param = param

    @property
    def missing(self) -> bool:
        """Whether something that was named does not exist over there."""
        return self.code == "resource_missing"


class StripeMisconfigured(StripeFailed):
    """Our key is wrong or may not do this: nothing happened, and only an operator can change that."""


class StripeKeyReused(StripeFailed):
    """The idempotency key stood for another request: look for that one's effect before asking under a new key."""


class StripeBusy(StripeFailed):
    """Another request with the same key is under way: ask again with the same key."""


class StripeRateLimited(StripeFailed):
    """Too many requests, and our short patience is over: nothing happened, ask again later."""


class StripeUnknown(StripeFailed):
    """No usable answer came: it may have happened. Ask again with the same key, which then answers the same."""


class StripeBroken(StripeFailed):
    """Stripe answered 500, and stores that under the key: look for the effect before asking under a new one."""


def ours(error: stripe.StripeError) -> StripeFailed:
    """The error of ours for one of the SDK's."""
    failed = _translate(error)
    failed.request_id = error.request_id
    failed.reason = (error.user_message or "")[:300] if not isinstance(failed, StripeMisconfigured) else ""
    failed.retry_after = retry_after(error)
    return failed


def _translate(error: stripe.StripeError) -> StripeFailed:
    match error:
        case stripe.CardError():
            return _declined(error)
        case stripe.RateLimitError():
            return StripeRateLimited("stripe_rate_limited", AWAY, retryable=True)
        case stripe.IdempotencyError():
            return StripeKeyReused("stripe_key_reused", AWAY, outcome="unknown")
        case stripe.AuthenticationError() | stripe.PermissionError():
            return StripeMisconfigured("payments_unavailable", "Payments are not available just now.")
        case stripe.InvalidRequestError():
            return StripeRefused(error.code or "stripe_refused", "The payment service refused this.", param=error.param)
        case stripe.APIConnectionError():
            return StripeUnknown("stripe_unreachable", AWAY, retryable=True, outcome="unknown")
    if error.http_status == 409:
        return StripeBusy("stripe_busy", AWAY, retryable=True, outcome="unknown")
    if error.http_status is not None and 400 <= error.http_status < 500:
        return StripeRefused("stripe_refused", "The payment service refused this.", param=None)
    if error.http_status == 500:
        return StripeBroken("stripe_broken", AWAY, retryable=True, outcome="unknown")
    return StripeUnknown("stripe_unreachable", AWAY, retryable=True, outcome="unknown")


def retry_after(error: stripe.StripeError) -> float | None:
    """Seconds after which Stripe wants to be asked again, None if it does not say."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


def _declined(error: stripe.CardError) -> StripeDeclined:
    body = error.json_body.get("error", {}) if isinstance(error.json_body, dict) else {}
    return StripeDeclined(
        error.user_message or DECLINED,
        code=error.code or "card_declined",
        decline_code=body.get("decline_code"),
        payment_intent=body.get("payment_intent"),
    )
