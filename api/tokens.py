"""Bearer tokens: JWTs of one pinned algorithm, issuer and audience, each claim required, signed by a key with a name.

The first key of the ring signs, all of them verify: a key is rotated by putting a new one in front, and taking the old
one away a day later.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Flask, current_app, request
from flask_jwt_extended import JWTManager, create_access_token, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTDecodeError

from models.services.sessions import LIFETIME
from settings import Settings

ALGORITHM = "HS256"
ISSUER = "agentforge"
AUDIENCE = "agentforge-api"
MOST_KEPT = 4096  # verified tokens in a process: a quarter of a kilobyte each
CLAIMS = frozenset({"exp", "iat", "nbf", "iss", "aud", "jti", "type", "sub", "sid", "gen"})


@dataclass(frozen=True)
class Token:
    """What a token that we signed says."""

    user_id: UUID
    session_id: UUID
    generation: int


def init_app(app: Flask, settings: Settings) -> None:
    """Pin how tokens are made and read."""
    app.config.update(
        JWT_SECRET_KEY=next(iter(settings.jwt_keys.values())),
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_ACCESS_TOKEN_EXPIRES=LIFETIME,
        JWT_TOKEN_LOCATION=["headers"],
    )

    app.extensions["verified_tokens"] = {}

    @JWTManager(app).decode_key_loader
    def key(header: dict[str, Any], claims: dict[str, Any]) -> str:
        """No key for a token that lacks a claim: the library would make up `type` and `jti`, and waive `exp`."""
        if missing := CLAIMS - claims.keys():
            raise JWTDecodeError(f"Missing claims: {', '.join(sorted(missing))}")
        secret = settings.jwt_keys.get(str(header.get("kid")))
        if secret is None:
            raise JWTDecodeError("The key of this token is not known")
        return secret


def write(token: Token) -> str:
    """Sign a token."""
    settings: Settings = current_app.extensions["settings"]
    return create_access_token(
        str(token.user_id),
        additional_claims={"sid": str(token.session_id), "gen": token.generation},
        additional_headers={"kid": next(iter(settings.jwt_keys))},
    )


def read() -> Token | None:
    """The token of this request, None where none is needed; raises what the libraries do, or `ValueError`.

    A signature that was found good stays good, so it is checked once in each process; the time is looked at always,
    and so is the session, by whoever asks.
    """
    verified: dict[bytes, tuple[Token, float]] = current_app.extensions["verified_tokens"]
    digest = hashlib.sha256(request.headers["Authorization"].encode()).digest()
    known = verified.get(digest)
    if known and time.time() < known[1]:
        return known[0]
    found = _verified()
    if found is not None:
        while len(verified) >= MOST_KEPT:
            verified.pop(next(iter(list(verified))), None)  # a copy, because others write meanwhile
        verified[digest] = found
    return found and found[0]


def _verified() -> tuple[Token, float] | None:
    """The token and when it expires."""
    verified = verify_jwt_in_request()
    if verified is None:
        return None
    _, claims = verified
    if type(claims["gen"]) is not int:
        raise ValueError("gen is no whole number")
    return Token(UUID(claims["sub"]), UUID(str(claims["sid"])), claims["gen"]), float(claims["exp"])
