"""Whose request this is, found out before any work: by a signature of ours, or a credential verified before.

It decides only in whose turn a request comes, never what it may do: every request is authenticated.
"""

import hashlib
import re
from typing import Any
from uuid import UUID

import jwt
from flask import Flask, request

from api.auth.cookies import SESSION_COOKIE
from api.auth.tokens import ALGORITHM, AUDIENCE, ISSUER, LEEWAY_SECONDS
from settings import Settings

MAX_KNOWN = 8192  # credentials, of about 200 bytes each
_COOKIE = re.compile(rf"{SESSION_COOKIE}=([^;]+)")


class KnownCallers:
    """The users of the credentials that were verified last."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.jwt_keys
        self._users: dict[bytes, str] = {}

    def find(self, environ: dict[str, Any]) -> str | None:
        """The id of the user whose credential this request has; None for a stranger, or an access key's first use."""
        sent = _credential(environ)
        if not sent:
            return None
        digest = _digest(sent)
        user = self._users.get(digest)
        if user is None and (user := self._signed(sent)):
            self._keep(digest, user)
        return user

    def add(self, environ: dict[str, Any], user_id: UUID) -> None:
        """Remember the user of the credential of this request, which was verified."""
        digest = _digest(_credential(environ))
        if digest not in self._users:
            self._keep(digest, str(user_id))

    def _keep(self, digest: bytes, user: str) -> None:
        while len(self._users) >= MAX_KNOWN:
            self._users.pop(next(iter(list(self._users))), None)  # a copy, because other threads write meanwhile
        self._users[digest] = user

    def _signed(self, token: str) -> str | None:
        """The user for whom we signed this token."""
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token, key, algorithms=[ALGORITHM], issuer=ISSUER, audience=AUDIENCE, leeway=LEEWAY_SECONDS
            )
            return str(claims["sub"])
        except (jwt.PyJWTError, KeyError, TypeError, ValueError):
            return None


def init_app(app: Flask, settings: Settings) -> None:
    """Begin without any known caller."""
    app.extensions["known_callers"] = KnownCallers(settings)


def remember(app: Flask, user_id: UUID) -> None:
    """Remember the user of this request, whose credential was verified."""
    known: KnownCallers = app.extensions["known_callers"]
    known.add(request.environ, user_id)


def _credential(environ: dict[str, Any]) -> str:
    """What the request is authenticated with: the header or, without one, the session cookie."""
    if header := environ.get("HTTP_AUTHORIZATION"):
        return str(header).removeprefix("Bearer ")
    found = _COOKIE.search(environ.get("HTTP_COOKIE", ""))
    return found[1] if found else ""


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode(errors="surrogatepass")).digest()
