"""Expected errors. Each has a message for the caller, and its class says whether a retry is worth it.

Only `api/http/errors.py` maps these classes to HTTP statuses. All other exceptions are bugs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class FieldError:
    """An error in one field; `field` is a dotted path such as `nodes.2.config.url`."""

    field: str
    message: str


@dataclass(frozen=True)
class Quota:
    """The value of a limit, and how much of it is in use."""

    limit: int
    current: float


class ForgeError(Exception):
    """The base of all expected errors.

    Args:
        detail: a sentence for the caller.
        errors: the fields with errors, if any.
        quota: the limit that was reached, if any.
    """

    code = "error"

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = (), quota: Quota | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.quota = quota


class InvalidInput(ForgeError):
    """The request has missing or invalid values; repeating it does not help."""

    code = "invalid_input"


class NotAuthenticated(ForgeError):
    """The request has no valid credential."""

    code = "not_authenticated"


class Forbidden(ForgeError):
    """The caller is authenticated, but not allowed to do this."""

    code = "forbidden"


class NotFound(ForgeError):
    """The object does not exist, or belongs to another user."""

    code = "not_found"

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no such {kind}.")


class Conflict(ForgeError):
    """The current state of the object does not allow this."""

    code = "conflict"


class PreconditionFailed(ForgeError):
    """The object was changed, so the precondition of the request does not hold."""

    code = "precondition_failed"


class PaymentRequired(ForgeError):
    """The payment was declined, or the credits do not suffice."""

    code = "payment_required"


class TransientError(ForgeError):
    """The service is temporarily unavailable; try again."""

    code = "temporarily_unavailable"


class NotYet(TransientError):
    """An event refers to a row that does not exist: it is not committed yet, or lost. Retry, and finally alert."""

    code = "not_yet"


class InsufficientCredits(PaymentRequired):
    """The wallet cannot cover the hold that an operation needs."""

    code = "insufficient_credits"

    def __init__(self, needed: Decimal, available: Decimal) -> None:
        super().__init__(f"This needs {needed} credits, and {available} are available.")
        self.needed = needed
        self.available = available


class TooManyAttempts(ForgeError):
    """Too many attempts; try again later."""

    code = "rate_limited"

    def __init__(self, detail: str, *, quota: Quota | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, quota=quota)
        self.retry_after = retry_after


class LeaseLost(ForgeError):
    """Another driver holds the lease of the execution; this driver must write nothing more and stop."""

    code = "lease_lost"

    def __init__(self) -> None:
        super().__init__("Another worker drives this execution now.")


class ExpressionError(InvalidInput):
    """The expression is invalid; `position` is the line and column of the error, both from 1."""

    code = "invalid_expression"

    def __init__(self, sentence: str, position: tuple[int, int] = (1, 1)) -> None:
        super().__init__(f"{sentence} ({place(position)})")
        self.sentence = sentence
        self.position = position


class ExpressionFailed(ForgeError):
    """The expression met values that it cannot work with; the same values will fail again."""

    code = "expression_failed"
    location = ""

    def located(self, location: str) -> "ExpressionFailed":
        """A copy of the error that names its location, such as `config.url of node 3`; itself if it has one."""
        if self.location or not location:
            return self
        failure = ExpressionFailed(f"In {location}: {self.detail}", errors=(FieldError(location, self.detail),))
        failure.location = location
        return failure


class ExpressionInterrupted(ForgeError):
    """The machine was too slow to evaluate an expression; the same values may succeed later."""

    code = "expression_interrupted"


def place(position: tuple[int, int]) -> str:
    """The words for a line and column; a position in the first line is only a column."""
    line, column = position
    return f"column {column}" if line == 1 else f"line {line}, column {column}"
