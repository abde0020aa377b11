"""Errors raised on purpose. Each says what the caller may be told and whether trying again is worth it.

Only `api/errors.py` knows which HTTP status belongs to which class; everything else is a bug.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class FieldError:
    """One field that is wrong: `field` is a dotted path such as `nodes.2.config.url`."""

    field: str
    message: str


class ForgeError(Exception):
    """The base of every expected refusal. `str(error)` is a sentence that the caller may read."""

    code = "error"

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)


class InvalidInput(ForgeError):
    """The request does not say what it must say; repeating it cannot help."""

    code = "invalid_input"


class NotAuthenticated(ForgeError):
    """Nobody, or nobody any more, stands behind this request."""

    code = "not_authenticated"


class Forbidden(ForgeError):
    """Known, but not allowed."""

    code = "forbidden"


class NotFound(ForgeError):
    """There is no such thing, or it is somebody else's."""

    code = "not_found"

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what}.")


class Conflict(ForgeError):
    """The thing's present state does not allow this."""

    code = "conflict"


class PaymentRequired(ForgeError):
    """It would cost more than there is."""

    code = "payment_required"


class TransientError(ForgeError):
    """Time may cure it: the API answers 503, a task tries again."""

    code = "temporarily_unavailable"


class InsufficientCredits(PaymentRequired):
    """The wallet cannot cover the hold that an operation needs."""

    code = "insufficient_credits"

    def __init__(self, needed: Decimal, available: Decimal) -> None:
        super().__init__(f"This needs {needed} credits, and {available} are available.")
        self.needed = needed
        self.available = available


class LeaseLost(ForgeError):
    """Another driver owns the execution now: write nothing more, and leave."""

    code = "lease_lost"

    def __init__(self) -> None:
        super().__init__("Another worker drives this execution now.")
