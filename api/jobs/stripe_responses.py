"""Final responses of calls that need Stripe, from the outcome that a worker recorded.

They are built from the row alone, so they are the same whether the client waited, polled, or repeated its request.
"""

from collections.abc import Callable
from typing import Any

from flask import url_for
from flask.typing import ResponseReturnValue

from models.errors import Conflict, ForgeError, InvalidInput, PaymentRequired, TransientError
from models.tables import RequestKind, RequestStatus, StripeRequest

ToResponse = Callable[[dict[str, Any]], ResponseReturnValue]


UNAVAILABLE_CODES = ("gave_up", "payments_unavailable")
UNKNOWN_AT_STRIPE = "resource_missing"


class Declined(PaymentRequired):
    """The bank declined the payment; `code` is Stripe's code for the reason."""


class Unavailable(TransientError):
    """Stripe was not reached, or did not accept our key."""


class UnknownAtStripe(InvalidInput):
    """The object does not exist at Stripe."""


class RefusedByStripe(Conflict):
    """The request is not possible in the current state of the object at Stripe."""


def stripe_response(row: StripeRequest) -> ResponseReturnValue | None:
    """The final response, or None while there is none; raises a `ForgeError` for the caller if the request failed."""
    if row.status is RequestStatus.FAILED:
        raise _error(row.error)
    return _RESPONSES[row.kind](row.result) if row.status is RequestStatus.DONE else None


def _error(stored: dict[str, Any]) -> ForgeError:
    code = stored["code"]
    if stored.get("declined"):
        kind: type[ForgeError] = Declined
    elif code in UNAVAILABLE_CODES:
        kind = Unavailable
    else:
        kind = UnknownAtStripe if code == UNKNOWN_AT_STRIPE else RefusedByStripe
    error = kind(stored["message"])
    error.code = code
    return error


def _as_it_is(body: dict[str, Any]) -> ResponseReturnValue:
    return body


def _created(body: dict[str, Any]) -> ResponseReturnValue:
    return body, 201, {"Location": url_for("subscriptions.current")}


def _nothing(_: dict[str, Any]) -> ResponseReturnValue:
    return "", 204


_RESPONSES: dict[RequestKind, ToResponse] = {
    RequestKind.PURCHASE: _as_it_is,
    RequestKind.SUBSCRIPTION_CREATE: _created,
    RequestKind.SUBSCRIPTION_UPDATE: _as_it_is,
    RequestKind.SUBSCRIPTION_PREVIEW: _as_it_is,
    RequestKind.SUBSCRIPTION_CANCEL: _as_it_is,
    RequestKind.SUBSCRIPTION_RESUME: _as_it_is,
    RequestKind.PAYMENT_METHOD_ADD: _as_it_is,
    RequestKind.PAYMENT_METHOD_DEFAULT: _as_it_is,
    RequestKind.PAYMENT_METHOD_REMOVE: _nothing,
    RequestKind.ACCOUNT_CLOSE: _nothing,
    RequestKind.PURCHASE_CANCEL: _nothing,
    RequestKind.CUSTOMER_UPDATE: _nothing,
}
