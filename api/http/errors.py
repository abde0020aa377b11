"""Problem documents (RFC 9457) for all errors. This is the only module that maps errors to statuses."""

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask_limiter import RateLimitExceeded
from marshmallow import ValidationError
from sqlalchemy.exc import DatabaseError, DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from api.http.json import encode
from api.schemas.wording import STARTS
from models.errors import (
    Conflict,
    FieldError,
    Forbidden,
    ForgeError,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    PaymentRequired,
    PreconditionFailed,
    Quota,
    TooManyAttempts,
    TransientError,
)
from models.rules.stripe.signature import BadSignature

log = structlog.get_logger(__name__)

STATUS: dict[type[ForgeError], int] = {
    BadSignature: 400,
    InvalidInput: 422,
    NotAuthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PaymentRequired: 402,
    PreconditionFailed: 412,
    TooManyAttempts: 429,
    TransientError: 503,
}
HTTP_CODES = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
}
HTTP_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not support that method.",
    413: "The body is larger than the allowed size.",
    429: "Too many requests; try again later.",
}
RETRY_SECONDS = "2"
MAX_FIELD_ERRORS = 50  # listed in one document
MAX_PATH, MAX_MESSAGE = 500, 1_000  # characters


def init_app(app: Flask) -> None:
    """Respond to every exception, ours or not, with a problem document."""
    app.register_error_handler(Exception, response)


def response(error: BaseException) -> Response:
    """The problem document for `error`."""
    match error:
        case ForgeError():
            return _framework_error(error)
        case ValidationError():
            return _invalid(fields_of(error))
        case HTTPException():
            return _http(error)
        # The database driver raises a bare `DatabaseError` for some of the ways in which a connection is lost.
        case OperationalError() | InterfaceError() | PoolTimeout() | DatabaseError(connection_invalidated=True):
            log.warning("database.unavailable", error=type(error).__name__, cause=str(error.__cause__)[:200])
            return unavailable("The database is unavailable; try again.")
        case DataError():
            return problem(422, "invalid_input", "A value is outside the range that can be stored.")
    log.error("request.failed", exc_info=error)
    return problem(500, "internal_error", "Something went wrong on our side. It has been logged.")


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: tuple[FieldError, ...] = (),
    quota: Quota | None = None,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Build a problem document, with the members of `more`; the mobile app reads `message` and `error`."""
    title = code.replace("_", " ").capitalize()
    document: dict[str, Any] = {
        "type": f"urn:agentforge:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": f"urn:agentforge:request:{g.get('request_id', '')}",
        "message": detail,
        "error": title,
        **(more or {}),
    }
    if quota is not None:
        document |= {"limit": quota.limit, "current": quota.current}
    if errors:
        document["errors"] = [{"field": item.field, "message": sentence(item)} for item in errors[:MAX_FIELD_ERRORS]]
    return Response(encode(document), status, headers, mimetype="application/problem+json")


def unavailable(detail: str) -> Response:
    """503 with Retry-After."""
    return problem(503, "temporarily_unavailable", detail, headers={"Retry-After": RETRY_SECONDS})


def sentence(error: FieldError) -> str:
    """A field's error as a sentence with the field in it."""
    if error.message.startswith(STARTS):
        return f"{error.field} {error.message[0].lower()}{error.message[1:]}"
    named = error.field.rpartition(".")[2] in error.message
    return error.message if named else f"{error.field}: {error.message}"


def fields_of(error: ValidationError) -> tuple[FieldError, ...]:
    """Marshmallow's nested messages by dotted path, at most `MAX_FIELD_ERRORS` of them."""
    first = islice(_flatten(error.messages, ""), MAX_FIELD_ERRORS)
    return tuple(FieldError(path[:MAX_PATH] or "body", message[:MAX_MESSAGE]) for path, message in first)


def _flatten(messages: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            # Marshmallow's keys for errors of the whole object and of a mapping's keys and values; they are no fields.
            is_mark = key == "_schema" or (key in ("value", "key") and path)
            step = "" if is_mark else str(key)
            yield from _flatten(inner, ".".join(filter(None, (path, step))))
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flatten(inner, path)
    else:
        yield path, str(messages)


def _invalid(errors: tuple[FieldError, ...]) -> Response:
    """422 for `errors`; the detail is the sentence of the first field, because the app shows only that."""
    return problem(422, InvalidInput.code, sentence(errors[0]), errors=errors)


def _framework_error(error: ForgeError) -> Response:
    if type(error) is InvalidInput and error.errors:
        return _invalid(error.errors)
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
    headers = {503: {"Retry-After": RETRY_SECONDS}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
    if isinstance(error, TooManyAttempts) and error.retry_after is not None:
        headers = {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return problem(status, error.code, error.detail, errors=error.errors, quota=error.quota, headers=headers)


def _http(error: HTTPException) -> Response:
    original = getattr(error, "original_exception", None)
    if original is not None:  # Flask wraps errors that were raised outside of a view
        return response(original)
    status = error.code or 500
    detail = HTTP_SENTENCES.get(status) or error.description or "The request cannot be answered."
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    code = HTTP_CODES.get(status) or error.name.lower().replace(" ", "_")
    if status == 404 and request.url_rule is not None:
        detail = error.description or detail
    return problem(status, code, detail, quota=_spent(error), headers=headers)


def _spent(error: HTTPException) -> Quota | None:
    """The limit and count of a request that exceeded a rate limit."""
    if not isinstance(error, RateLimitExceeded) or error.limit is None:
        return None
    amount = error.limit.limit.amount
    return Quota(amount, amount)
