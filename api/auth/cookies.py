"""Sessions of browsers: the token in a cookie that no script can read, and a CSRF token for every unsafe method.

The CSRF token is a claim of the session's token and is also stored in a cookie that scripts of this origin can read.
They send it back as `X-CSRF-TOKEN`, which a page of another origin cannot: it can neither read that cookie nor set the
header. A session that began in a cookie never leaves it, so an injected script cannot take the token away.
"""

from typing import Any

from flask import Flask, Response, jsonify, request
from flask_jwt_extended import set_access_cookies, unset_access_cookies
from flask_jwt_extended.config import config

from api.schemas.accounts.accounts import SessionKind
from models.errors import Forbidden
from models.services.accounts.sessions import LIFETIME
from settings import Settings

SESSION_COOKIE = "agentforge_session"
HOST_ONLY = "__Host-"  # a browser takes such a cookie only with `Secure`, from the host itself, for all of its paths
CSRF_COOKIE = "agentforge_csrf"
CSRF_HEADER = "X-CSRF-TOKEN"


class CsrfFailed(Forbidden):
    """A change with the session cookie needs the value of the cookie `agentforge_csrf` as header `X-CSRF-TOKEN`."""

    code = "csrf_failed"

    def __init__(self) -> None:
        super().__init__(f"Send the value of the cookie {CSRF_COOKIE} as the header {CSRF_HEADER}.")


def init_app(app: Flask, settings: Settings) -> None:
    """Configure the cookies; they need TLS in production."""
    is_secure = settings.environment == "production"
    app.config.update(
        JWT_ACCESS_COOKIE_NAME=f"{HOST_ONLY if is_secure else ''}{SESSION_COOKIE}",
        JWT_ACCESS_CSRF_COOKIE_NAME=CSRF_COOKIE,
        JWT_ACCESS_CSRF_HEADER_NAME=CSRF_HEADER,
        JWT_COOKIE_SECURE=is_secure,
        JWT_COOKIE_SAMESITE="Strict",
        JWT_COOKIE_CSRF_PROTECT=True,
    )


def sent() -> str | None:
    """The token in the session cookie of this request, None without one."""
    return request.cookies.get(config.access_cookie_name)


def is_unsafe() -> bool:
    """Whether this request needs a CSRF token if it authenticates with the cookie."""
    return request.method in config.csrf_request_methods


def respond(document: dict[str, Any], token: str, kind: SessionKind) -> Response:
    """Respond with the token in the document, or in the cookies."""
    if kind is SessionKind.BEARER:
        return jsonify({**document, "token": token})
    response = jsonify(document)
    set_access_cookies(response, token, max_age=int(LIFETIME.total_seconds()))
    return response


def clear(response: Response) -> None:
    """Remove the cookies from the browser."""
    unset_access_cookies(response)
