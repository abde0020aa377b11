"""Tokens of sessions: JWTs with one pinned algorithm, issuer and audience, every claim required, signed by a named key.

The first key signs and all of them verify. To rotate, put a new key first and remove the old one a day later.
"""

import hashlib
import time
from typing import Any
from uuid import UUID

from flask import Flask, current_app, request
from flask_jwt_extended import JWTManager, create_access_token, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTDecodeError
from jwt.exceptions import ExpiredSignatureError
from werkzeug.http import parse_cookie

from api.auth import cookies
from models.services.accounts.sessions import LIFETIME, AccessToken
from settings import Settings

ALGORITHM = "HS256"
ISSUER = "agentforge"
AUDIENCE = "agentforge-api"
LEEWAY_SECONDS = 30  # by which the clock of the host that signed a token may be ahead of ours
MAX_KEPT = 4096  # verified tokens per process, of about 250 bytes each
CLAIMS = frozenset({"exp", "iat", "nbf", "iss", "aud", "jti", "type", "sub", "sid", "gen"})


def init_app(app: Flask, settings: Settings) -> None:
    """Configure how tokens are signed and verified."""
    app.config.update(
        JWT_SECRET_KEY=next(iter(settings.jwt_keys.values())),
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_ACCESS_TOKEN_EXPIRES=LIFETIME,
        JWT_DECODE_LEEWAY=LEEWAY_SECONDS,
        JWT_TOKEN_LOCATION=["headers", "cookies"],
    )

    cookies.init_app(app, settings)
    app.extensions["verified_tokens"] = {}

    @JWTManager(app).decode_key_loader
    def key(header: dict[str, Any], claims: dict[str, Any]) -> str:
        """Reject a token that lacks a claim: the library would invent `type` and `jti`, and not require `exp`."""
        if missing := CLAIMS - claims.keys():
            raise JWTDecodeError(f"Missing claims: {', '.join(sorted(missing))}")
        secret = settings.jwt_keys.get(str(header.get("kid")))
        if secret is None:
            raise JWTDecodeError("The key of this token is not known")
        return secret


def write(token: AccessToken) -> str:
    """Sign a token and return it as text."""
    settings: Settings = current_app.extensions["settings"]
    return create_access_token(
        str(token.user_id),
        additional_claims={"sid": str(token.session_id), "gen": token.generation},
        additional_headers={"kid": next(iter(settings.jwt_keys))},
    )


def verified_before(app: Flask, environ: dict[str, Any]) -> AccessToken | None:
    """The token of a request that has not begun yet, if this process verified it before; None for any other."""
    header, sent = environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_COOKIE")
    if header is not None:
        return _kept(app, _digest("headers", header))
    cookie = sent and parse_cookie(sent).get(app.config["JWT_ACCESS_COOKIE_NAME"])
    return _kept(app, _digest("cookies", cookie)) if cookie else None


def read_header() -> AccessToken | None:
    """The token in the `Authorization` header, None where the library finds none needed; raises as `read_cookie`."""
    return _remembered(request.headers["Authorization"], "headers")


def read_cookie(cookie: str) -> AccessToken | None:
    """The token in the session cookie.

    A signature is verified once in each process and then remembered; the expiry is checked every time, and the caller
    checks the session. The CSRF token of an unsafe request is checked every time too.

    Raises:
        ValueError: a claim has the wrong form.
        CSRFError: the method is unsafe, and the CSRF token is missing or wrong.
        JWTExtendedException, PyJWTError: the token is not valid.
    """
    if not cookies.is_unsafe():
        return _remembered(cookie, "cookies")
    found = _verified("cookies")
    return found and found[0]


def _remembered(sent: str, location: str) -> AccessToken | None:
    digest = _digest(location, sent)
    if known := _kept(current_app, digest):
        return known
    found = _verified(location)
    if found is not None:
        verified = current_app.extensions["verified_tokens"]
        while len(verified) >= MAX_KEPT:
            verified.pop(next(iter(list(verified))), None)  # a copy, because other threads write meanwhile
        verified[digest] = found
    return found and found[0]


def _kept(app: Flask, digest: bytes) -> AccessToken | None:
    verified: dict[bytes, tuple[AccessToken, float]] = app.extensions["verified_tokens"]
    token, expires_at = verified.get(digest, (None, 0.0))
    return token if time.time() < expires_at else None


def _digest(location: str, sent: str) -> bytes:
    return hashlib.sha256(f"{location}:{sent}".encode(errors="surrogatepass")).digest()


def _verified(location: str) -> tuple[AccessToken, float] | None:
    """The token and when it expires, in seconds since the epoch.

    The library allows its leeway for the expiry too; here the token expires without it.
    """
    verified = verify_jwt_in_request(locations=location)
    if verified is None:
        return None
    _, claims = verified
    if type(claims["gen"]) is not int:
        raise ValueError("gen is no whole number")
    expires_at = float(claims["exp"])
    if expires_at <= time.time():
        raise ExpiredSignatureError
    return AccessToken(UUID(claims["sub"]), UUID(str(claims["sid"])), claims["gen"]), expires_at
