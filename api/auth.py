"""Who is asking. Learned before anything else happens, in one query, from what every instance shares.

A token stops working when it expires, when it was refreshed and its grace is over, when its session is ended, when its
user is gone, and when the user's epoch moves on. An access key stops when it expires and when it is deleted.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, current_app, g, request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from api import scopes, tokens
from api.deeds import caller_address, record
from api.session import db
from api.tokens import Token
from models.errors import NotAuthenticated, NotFound
from models.services import access_keys, sessions
from models.user import User

UNASKED = ("health", "metrics", "webhooks")  # blueprints that want to know nobody

P = ParamSpec("P")
R = TypeVar("R")


class TokenExpired(NotAuthenticated):
    """The token was good once."""

    code = "token_expired"


class TokenReused(NotAuthenticated):
    """The token was refreshed a while ago, so somebody has a copy."""

    code = "token_reused"

    def __init__(self) -> None:
        super().__init__("This token was refreshed before, so its session was ended: sign in again.")


@dataclass(frozen=True)
class Caller:
    """The user behind a request, and how they showed it."""

    user: User
    token: Token | None = None  # of somebody who signed in
    scopes: frozenset[str] | None = None  # of an access key


def init_app(app: Flask) -> None:
    """Learn who asks."""
    app.before_request(_identify)


def _identify() -> None:
    """Read the token if there is one. A bad one is only refused where one is needed: signing in needs none."""
    g.refused = NotAuthenticated("This needs a token: send it as `Authorization: Bearer ...`.")
    if "Authorization" not in request.headers or request.blueprint in UNASKED:
        return
    try:
        secret = request.headers["Authorization"].removeprefix("Bearer ")
        if secret.startswith(access_keys.PREFIX):
            _welcome(_owner(secret))
        elif token := tokens.read():
            _welcome(_holder(token))
    except ExpiredSignatureError:
        g.refused = TokenExpired("This token has expired.")
    except NotAuthenticated as refusal:
        g.refused = refusal
    except (JWTExtendedException, PyJWTError, ValueError):
        g.refused = NotAuthenticated("This needs a valid token.")


def _holder(token: Token) -> Caller:
    """Whoever holds this token. What is found out about its session is kept, whatever becomes of the request."""
    found = sessions.present(db(), token.user_id, token.session_id, token.generation)
    if found is None:
        raise NotAuthenticated("This needs a valid token.")
    if found.is_reused:
        with suppress(NotFound):  # of several requests at once the first one ends it
            sessions.end(db(), token.user_id, token.session_id)
            record("auth.token_reused", token.user_id)
            db().commit()
        raise TokenReused
    if found.is_unseen:
        sessions.touch(db(), token.session_id)
        db().commit()
    return Caller(found.user, token=token)


def _owner(secret: str) -> Caller:
    """Whoever made this access key."""
    found = access_keys.present(db(), secret)
    if found is None:
        raise NotAuthenticated("This access key does not exist, or has expired.")
    if found.is_unused:
        access_keys.touch(db(), found.key_id)
        db().commit()
    g.access_key_id = str(found.key_id)
    return Caller(found.user, scopes=found.scopes)


def _welcome(caller: Caller) -> None:
    g.caller = caller
    g.user = caller.user
    g.user_id = str(caller.user.id)


def signed_in(view: Callable[P, R]) -> Callable[P, R]:
    """The view answers 401 to strangers, and 403 to access keys that do not allow it."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if "user" not in g:
            raise g.refused
        if g.caller.scopes is not None:
            scopes.require(g.caller.scopes)
        return view(*args, **kwargs)

    guarded.signed_in = True  # type: ignore[attr-defined]  # a mark that `wraps` hands on
    return guarded


def current_user() -> User:
    """Whose request this is; only in views that are `signed_in`."""
    user: User = g.user
    return user


def current_token() -> Token:
    """The token that came with it; only in views that are not for access keys."""
    token: Token = g.caller.token
    return token


def sign_in(user: User) -> str:
    """Begin a session of somebody whose password was checked; its first token."""
    device = str(request.user_agent) or None
    session = sessions.start(db(), user, user_agent=device, address=caller_address())
    record("auth.login", user.id, actor=user.id, session=str(session.id))
    return tokens.write(Token(user.id, session.id, session.generation))


def refreshed() -> str:
    """The token that follows the one of this request."""
    token = current_token()
    longest = timedelta(days=current_app.extensions["settings"].session_days)
    generation = sessions.refresh(db(), token.session_id, token.generation, longest=longest)
    return tokens.write(replace(token, generation=generation))
