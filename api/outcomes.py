"""What a call that needed Stripe is answered in the end, once a worker has recorded its outcome.

It is made from the row alone, so it is the same whether the client waited, polled, or sent its request again.
"""

from collections.abc import Callable
from typing import Any

from flask import url_for
from flask.typing import ResponseReturnValue

from models.errors import Conflict, ForgeError, InvalidInput, PaymentRequired, TransientError
from models.stripe_request import RequestKind, RequestStatus, StripeRequest

Answer = Callable[[dict[str, Any]], ResponseReturnValue]


AWAY = ("gave_up", "payments_unavailable")
UNKNOWN_THERE = "resource_missing"


class Declined(PaymentRequired):
    """The bank said no; `code` is Stripe's word for why."""


class Unavailable(TransientError):
    """Stripe could not be asked, or we may not ask it."""


class UnknownThere(InvalidInput):
    """Stripe does not know what was named."""


class Refused(Conflict):
    """What was asked for cannot be done with the things as they are over there."""


def outcome(row: StripeRequest) -> ResponseReturnValue | None:
    """The final answer, or None while there is none; raises what the caller is to be told when it failed."""
    if row.status is RequestStatus.FAILED:
        raise _refusal(row.error)
    return _ANSWERS[row.kind](row.answer) if row.status is RequestStatus.DONE else None


def _refusal(said: dict[str, Any]) -> ForgeError:
    code = said["code"]
    if said.get("declined"):
        kind: type[ForgeError] = Declined
    elif code in AWAY:
        kind = Unavailable
    else:
        kind = UnknownThere if code == UNKNOWN_THERE else Refused
    error = kind(said["message"])
    error.code = code
    return error


def _as_it_is(answer: dict[str, Any]) -> ResponseReturnValue:
    return answer


def _created(answer: dict[str, Any]) -> ResponseReturnValue:
    return answer, 201, {"Location": url_for("subscriptions.current")}


def _nothing(_: dict[str, Any]) -> ResponseReturnValue:
    return "", 204


_ANSWERS: dict[RequestKind, Answer] = {
    RequestKind.PURCHASE: _as_it_is,
    RequestKind.SUBSCRIPTION_CREATE: _created,
    RequestKind.SUBSCRIPTION_UPDATE: _as_it_is,
    RequestKind.SUBSCRIPTION_CANCEL: _as_it_is,
    RequestKind.SUBSCRIPTION_RESUME: _as_it_is,
    RequestKind.PAYMENT_METHOD_ADD: _as_it_is,
    RequestKind.PAYMENT_METHOD_DEFAULT: _as_it_is,
    RequestKind.PAYMENT_METHOD_REMOVE: _nothing,
}
