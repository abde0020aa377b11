"""Stripe's errors: the HTTP status and the error object, as its libraries parse them."""

from typing import Any

DOCS = "https://stripe.com/docs/error-codes/"


class StripeError(Exception):
    """An error response.

    `stored` says whether Stripe keeps it under the request's idempotency key: it does so once an endpoint has begun
    to work, so not for wrong keys, unknown parameters, rate limits and keys in use.
    """

    def __init__(self, status: int, message: str, *, stored: bool = True, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        self.headers: dict[str, str] = {}
        self.error: dict[str, Any] = {"message": message, "type": "invalid_request_error"}
        self.error |= {name: value for name, value in fields.items() if value is not None}
        if code := self.error.get("code"):
            self.error["doc_url"] = DOCS + str(code).replace("_", "-")

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.error}


def missing(kind: str, object_id: str, param: str) -> StripeError:
    """The error for an unknown id: 404 if it is in the path, 400 if it is a parameter."""
    name = "PaymentMethod" if kind == "payment_method" else kind if kind == "payment_intent" else kind.replace("_", " ")
    status = 404 if param == "id" else 400
    if status == 404 and kind == "payment_intent":
        param = "intent"
    return StripeError(status, f"No such {name}: '{object_id}'", code="resource_missing", param=param)


def invalid(message: str, *, param: str | None = None, code: str | None = None, **fields: Any) -> StripeError:
    """The error 400 for a request that the present state does not allow."""
    return StripeError(400, message, param=param, code=code, **fields)


def bad_parameter(message: str, param: str, code: str) -> StripeError:
    """The error 400 before the endpoint begins, which is not stored under the idempotency key."""
    return StripeError(400, message, param=param, code=code, stored=False)


def server_error() -> StripeError:
    """The error 500: stored under the idempotency key, so that a retry is useless."""
    message = "An unknown error occurred. If this problem persists, please contact us."
    error = StripeError(500, message, type="api_error")
    error.headers["Stripe-Should-Retry"] = "false"
    return error


def unavailable() -> StripeError:
    """The error 503, before the endpoint begins; not stored."""
    return StripeError(503, "The service is temporarily unavailable.", type="api_error", stored=False)


def forbidden() -> StripeError:
    """The error 403 for a restricted key without the permission."""
    message = "The provided key 'rk_test_***' does not have the required permissions for this endpoint."
    return StripeError(403, message, stored=False)


def rate_limited() -> StripeError:
    """The error 429, before the endpoint begins; not stored."""
    message = "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
    error = StripeError(429, message, code="rate_limit", stored=False)
    error.headers["Stripe-Rate-Limited-Reason"] = "global-rate"
    return error


def key_in_use(key: str) -> StripeError:
    """The error 409 while the first request with this idempotency key is in progress."""
    message = (
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later."
    )
    return StripeError(409, message, type="idempotency_error", code="idempotency_key_in_use", stored=False)


def key_reused(key: str) -> StripeError:
    """The error 400 for an idempotency key that was first used with other parameters or another endpoint."""
    message = (
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using "
        f"a key other than '{key}' if you meant to execute a different request."
    )
    return StripeError(400, message, type="idempotency_error", stored=False)


def unauthorized(key: str | None) -> StripeError:
    """The error 401 without a key, or with an unknown one."""
    if key is None:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
        return StripeError(401, message, stored=False)
    shown = f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * len(key)
    return StripeError(401, f"Invalid API Key provided: {shown}", stored=False)
