"""Who is asking: bearer tokens made and checked by one pinned algorithm, each claim of ours required.

A token stops working when it expires, when it is revoked, when its user is gone, and when the user's epoch moves on.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from flask import Flask, g, request
from flask_jwt_extended import JWTManager, create_access_token, get_jwt, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTDecodeError, JWTExtendedException
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from api.session import db
from models.errors import NotAuthenticated
from models.services import accounts
from models.user import User
from settings import Settings

ISSUER = "agentforge"
AUDIENCE = "agentforge-api"
LIFETIME = timedelta(hours=24)
REFRESH_GRACE_SECONDS = 60  # requests that are under way with the old token may still arrive
CLAIMS = frozenset({"exp", "iat", "nbf", "iss", "aud", "jti", "type", "sub", "epoch"})

P = ParamSpec("P")
R = TypeVar("R")


class TokenExpired(NotAuthenticated):
    """The token was good once."""

    code = "token_expired"


def init_app(app: Flask, settings: Settings) -> None:
    """Pin how tokens are made and read, and learn who asks before anything else happens."""
    app.config.update(
        JWT_SECRET_KEY=settings.jwt_secret,
        JWT_ALGORITHM="HS256",
        JWT_DECODE_ALGORITHMS=["HS256"],
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_ACCESS_TOKEN_EXPIRES=LIFETIME,
        JWT_TOKEN_LOCATION=["headers"],
    )
    manager = JWTManager(app)
    manager.user_lookup_loader(_user)

    @manager.decode_key_loader
    def key(_: dict[str, Any], claims: dict[str, Any]) -> str:
        """No key for a token that lacks a claim: the library would make up `type` and `jti`, and waive `exp`."""
        if missing := CLAIMS - claims.keys():
            raise JWTDecodeError(f"Missing claims: {', '.join(sorted(missing))}")
        return settings.jwt_secret

    app.before_request(_identify)


def _user(_: dict[str, Any], claims: dict[str, Any]) -> User | None:
    """Nobody, when the user is gone, the token was ended, or the user's epoch moved on."""
    user = accounts.bearer(db(), UUID(claims["sub"]), UUID(claims["jti"]))
    return user if user is not None and user.token_epoch == claims["epoch"] else None


def _identify() -> None:
    """Read the token if there is one. A bad one is only refused where one is needed: signing in needs none."""
    g.refused = NotAuthenticated("This needs a token: send it as `Authorization: Bearer ...`.")
    if "Authorization" not in request.headers or request.blueprint in ("health", "metrics", "webhooks"):
        return
    try:
        if verify_jwt_in_request() is not None:
            g.user = g._jwt_extended_jwt_user["loaded_user"]
            g.user_id = str(g.user.id)
    except ExpiredSignatureError:
        g.refused = TokenExpired("This token has expired.")
    except (JWTExtendedException, PyJWTError, ValueError):
        g.refused = NotAuthenticated("This needs a valid token.")


def signed_in(view: Callable[P, R]) -> Callable[P, R]:
    """The view answers 401 to strangers."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if "user" not in g:
            raise g.refused
        return view(*args, **kwargs)

    return guarded


def current_user() -> User:
    """Whose request this is; only in views that are `signed_in`."""
    user: User = g.user
    return user


def new_token(user: User) -> str:
    """A token of `user`'s present epoch."""
    return create_access_token(str(user.id), additional_claims={"epoch": user.token_epoch})


def revoke_current(grace_seconds: int = 0) -> None:
    """End the token of this request, at once or after a grace."""
    claims = get_jwt()
    expires_at = datetime.fromtimestamp(claims["exp"], tz=UTC)
    accounts.revoke_token(db(), UUID(claims["jti"]), current_user().id, expires_at, grace_seconds=grace_seconds)
