"""Every refusal is a problem document (RFC 9457). This is the only module that knows which error is which status."""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from flask import Flask, Response, g, request
from marshmallow import ValidationError
from sqlalchemy.exc import DatabaseError, DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from api.json import encode
from models.errors import (
    Conflict,
    FieldError,
    Forbidden,
    ForgeError,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    PaymentRequired,
    TransientError,
)
from models.rules.stripe_signature import BadSignature

log = structlog.get_logger(__name__)

STATUS: dict[type[ForgeError], int] = {
    BadSignature: 400,
    InvalidInput: 422,
    NotAuthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PaymentRequired: 402,
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
    405: "This address does not answer that method.",
    413: "The body is larger than the allowed size.",
    429: "That was too often; try again later.",
}
RETRY_SECONDS = "2"


def init_app(app: Flask) -> None:
    """Answer every exception, ours or not, as a problem document."""
    app.register_error_handler(Exception, answer)


def answer(error: BaseException) -> Response:
    """The problem document for `error`."""
    match error:
        case ForgeError():
            return _refusal(error)
        case ValidationError():
            return problem(422, "invalid_input", "Some fields are not as they should be.", errors=fields_of(error))
        case HTTPException():
            return _http(error)
        # The driver has no better word than `DatabaseError` for some of the ways in which a connection is lost.
        case OperationalError() | InterfaceError() | PoolTimeout() | DatabaseError(connection_invalidated=True):
            log.warning("database_unavailable", error=type(error).__name__, cause=str(error.__cause__)[:200])
            return unavailable("The database does not answer just now; try again.")
        case DataError():
            return problem(422, "invalid_input", "A value is outside of what can be stored.")
    log.error("unexpected_error", exc_info=error)
    return problem(500, "internal_error", "Something went wrong on our side. It has been logged.")


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: tuple[FieldError, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem document; `message` and `error` are what the mobile app reads."""
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
    }
    if errors:
        document["errors"] = [{"field": item.field, "message": item.message} for item in errors]
    return Response(encode(document), status, headers, mimetype="application/problem+json")


def unavailable(detail: str, code: str = "temporarily_unavailable") -> Response:
    """503, and when to come back."""
    return problem(503, code, detail, headers={"Retry-After": RETRY_SECONDS})


def fields_of(error: ValidationError) -> tuple[FieldError, ...]:
    """Marshmallow's nested messages as dotted paths."""
    return tuple(FieldError(path or "body", message) for path, message in _flatten(error.messages, ""))


def _flatten(messages: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            # Marshmallow marks what concerns the whole and what concerns a mapping's value; neither is a field.
            is_mark = key == "_schema" or (key in ("value", "key") and path)
            step = "" if is_mark else str(key)
            yield from _flatten(inner, ".".join(filter(None, (path, step))))
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flatten(inner, path)
    else:
        yield path, str(messages)


def _refusal(error: ForgeError) -> Response:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
    headers = {503: {"Retry-After": RETRY_SECONDS}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
    return problem(status, error.code, error.detail, errors=error.errors, headers=headers)


def _http(error: HTTPException) -> Response:
    original = getattr(error, "original_exception", None)
    if original is not None:  # Flask's wrapping of what was raised outside of a view
        return answer(original)
    status = error.code or 500
    detail = HTTP_SENTENCES.get(status) or error.description or "The request cannot be answered."
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    code = HTTP_CODES.get(status) or error.name.lower().replace(" ", "_")
    if status == 404 and request.url_rule is not None:
        detail = error.description or detail
    return problem(status, code, detail, headers=headers)
