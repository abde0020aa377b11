"""Authentication of requests: one query before anything else, on state that all instances share.

A token stops working when it expires, when the grace period after its refresh is over, when its session is ended, when
its user is deleted, and when the user's epoch is raised. An access key stops working when it expires or is deleted.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar
from uuid import UUID

from flask import Flask, Response, current_app, g, request
from flask_jwt_extended.exceptions import CSRFError, JWTExtendedException
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from api.auth import cookies, known_callers, scopes, tokens
from api.auth.audit import record
from api.auth.cookies import CsrfFailed
from api.http import foreseen
from api.http.client_address import caller
from api.http.session import db
from api.schemas.accounts.accounts import SessionKind
from models.errors import NotAuthenticated, NotFound
from models.services.accounts import access_keys, sessions
from models.services.accounts.sessions import AccessToken
from models.tables import User

UNAUTHENTICATED = ("health", "webhooks")  # blueprints whose requests are not authenticated

P = ParamSpec("P")
R = TypeVar("R")


class TokenExpired(NotAuthenticated):
    """The token has expired."""

    code = "token_expired"


class TokenReused(NotAuthenticated):
    """The token was refreshed before, which may mean that it was copied; its session is ended."""

    code = "token_reused"

    def __init__(self) -> None:
        super().__init__("This token was refreshed before, so its session was ended: sign in again.")


@dataclass(frozen=True)
class AuthenticatedCaller:
    """The user behind a request and the credential that authenticated them."""

    user: User
    credential: UUID  # the id of the session or of the access key
    token: AccessToken | None = None  # None for an access key
    scopes: frozenset[str] | None = None  # None for a token, which may do everything
    kind: SessionKind = SessionKind.BEARER
    written_position: int = 0  # in the write-ahead log, after the last write with the credential


def init_app(app: Flask) -> None:
    """Authenticate every request, and reduce its response to the scopes of its access key."""
    app.before_request(_identify)
    app.after_request(_reduce_to_scopes)


def _identify() -> None:
    """Authenticate the caller if there is a token; a bad one is rejected by `signed_in`, as public routes need none."""
    g.refused = NotAuthenticated("This needs a token: send it as `Authorization: Bearer ...`.")
    if request.blueprint in UNAUTHENTICATED:
        return
    try:
        if found := _caller():
            _set_caller(found)
            known_callers.remember(current_app, found.user.id)
    except ExpiredSignatureError:
        g.refused = TokenExpired("This token has expired.")
    except CSRFError:
        g.refused = CsrfFailed()
    except NotAuthenticated as refusal:
        g.refused = refusal
    except (JWTExtendedException, PyJWTError, ValueError):
        g.refused = NotAuthenticated("This needs a valid token.")


def _caller() -> AuthenticatedCaller | None:
    """The caller of the `Authorization` header or, without one, of the session cookie; raises if it is not valid."""
    if "Authorization" in request.headers:
        secret = request.headers["Authorization"].removeprefix("Bearer ")
        if secret.startswith(access_keys.PREFIX):
            return _caller_of_key(secret)
        token = tokens.read_header()
        return _caller_of_token(token, SessionKind.BEARER) if token else None
    if cookie := cookies.sent():
        token = tokens.read_cookie(cookie)
        return _caller_of_token(token, SessionKind.COOKIE) if token else None
    return None


def _reduce_to_scopes(response: Response) -> Response:
    """Reduce the final response, which may be the result of a Stripe request."""
    caller = g.get("caller")
    if caller is not None and caller.scopes is not None:
        scopes.reduce(response, caller.scopes)
    return response


def _caller_of_token(token: AccessToken, kind: SessionKind) -> AuthenticatedCaller:
    """The user who signed in with this token. Changes of its session are committed even if the request fails."""
    found = foreseen.take(token) or sessions.authenticate(db(), token)
    if found is None:
        raise NotAuthenticated("This needs a valid token.")
    if found.is_reused:
        with suppress(NotFound):  # a concurrent request may have ended it already
            sessions.end(db(), token.user_id, token.session_id)
            record("auth.token_reused", token.user_id)
            db().commit()
        raise TokenReused
    if found.is_unseen:
        sessions.touch(db(), token.session_id)
        db().commit()
    position = found.written_position
    return AuthenticatedCaller(found.user, token.session_id, token=token, kind=kind, written_position=position)


def _caller_of_key(secret: str) -> AuthenticatedCaller:
    """The user to whom this access key belongs."""
    secret_hash = access_keys.hash_of(secret)
    found = foreseen.take(secret_hash) or access_keys.authenticate(db(), secret_hash)
    if found is None:
        raise NotAuthenticated("This access key does not exist, or has expired.")
    if found.is_unused:
        access_keys.touch(db(), found.key_id)
        db().commit()
    g.access_key_id = str(found.key_id)
    position = found.written_position
    return AuthenticatedCaller(found.user, found.key_id, scopes=found.scopes, written_position=position)


def _set_caller(caller: AuthenticatedCaller) -> None:
    g.caller = caller
    g.user = caller.user
    g.user_id = str(caller.user.id)


def signed_in(view: Callable[P, R]) -> Callable[P, R]:
    """Decorate a view so that it responds with 401 without a valid credential and 403 without the needed scope."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if "user" not in g:
            raise g.refused
        if g.caller.scopes is not None:
            scopes.require(g.caller.scopes)
        return view(*args, **kwargs)

    vars(guarded)["signed_in"] = True  # `wraps` copies this mark to outer decorators
    return guarded


def current_user() -> User:
    """The user who sent this request; only in views that are `signed_in`."""
    user: User = g.user
    return user


def current_token() -> AccessToken:
    """The token of this request; only in views that access keys cannot use."""
    token: AccessToken = g.caller.token
    return token


def current_credential() -> UUID:
    """The id of the session or access key of this request; only in views that are `signed_in`."""
    credential: UUID = g.caller.credential
    return credential


def session_kind() -> SessionKind:
    """How the client of this request keeps its session; only in views that are `signed_in`."""
    kind: SessionKind = g.caller.kind
    return kind


def sign_in(user: User) -> str:
    """Start a session for a user whose password was verified and return its first token."""
    device = str(request.user_agent) or None
    session = sessions.start(db(), user, user_agent=device, address=caller())
    record("auth.login", user.id, actor=user.id, session=str(session.id))
    return tokens.write(AccessToken(user.id, session.id, session.generation))


def refreshed() -> str:
    """Refresh the session of this request and return its next token."""
    token = current_token()
    longest = timedelta(days=current_app.extensions["settings"].session_days)
    generation = sessions.refresh(db(), token.session_id, token.generation, longest=longest)
    return tokens.write(token._replace(generation=generation))
