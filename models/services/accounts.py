"""Opens accounts and knows who is who. Whether an address has an account shows neither in words nor in time."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from uuid import UUID

import bcrypt
from sqlalchemy import exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotAuthenticated, NotFound
from models.services import credits
from models.user import RevokedToken, Role, User

BCRYPT_ROUNDS = 12  # a third of a second; tests lower it


class EmailTaken(Conflict):
    """One address, one account."""

    code = "email_taken"

    def __init__(self) -> None:
        super().__init__("There is an account with this email address already.")


class WrongCredentials(NotAuthenticated):
    """The same words whether the account is unknown or the password is wrong."""

    code = "wrong_credentials"

    def __init__(self) -> None:
        super().__init__("The email address or the password is wrong.")


def register(session: Session, *, email: str, password: str, name: str, welcome_credits: Decimal) -> User:
    """Open an account with its wallet and, once, its welcome credits; raises `EmailTaken`.

    The address is kept as typed, without space around it, and compared without regard to case.
    """
    user = session.scalar(
        insert(User)
        .values(email=email.strip(), password_hash=hash_password(password), name=name)
        .on_conflict_do_nothing(index_elements=[text("lower(email)")])
        .returning(User)
    )
    if user is None:
        raise EmailTaken
    credits.open_wallet(session, user.id)
    if welcome_credits > 0:
        key = f"welcome:{user.id}"
        credits.grant(session, user.id, welcome_credits, key=key, reason="Welcome credits", source="welcome")
    return user


def authenticate(session: Session, *, email: str, password: str) -> User:
    """The user with this address and password; raises `WrongCredentials`, after the same work for any address."""
    user = session.scalar(select(User).where(func.lower(User.email) == func.lower(email.strip())))
    known = user.password_hash if user else _hash_of_nobody(BCRYPT_ROUNDS)
    right = bcrypt.checkpw(_digest(password), known.encode())
    if user is None or not right:
        raise WrongCredentials
    return user


def find(session: Session, user_id: UUID) -> User | None:
    """The user with this id, as the database has it now."""
    return session.get(User, user_id)


def set_role(session: Session, email: str, role: Role) -> User:
    """Give the user with this address a role, which counts from their next request on; raises `NotFound`."""
    whose = func.lower(User.email) == func.lower(email.strip())
    user = session.scalar(update(User).where(whose).values(role=role).returning(User))
    if user is None:
        raise NotFound("user")
    return user


def bearer(session: Session, user_id: UUID, jti: UUID) -> User | None:
    """The user behind a token, unless the token was ended; one query, because every request asks."""
    ended = exists().where(RevokedToken.jti == jti, RevokedToken.works_until <= func.clock_timestamp())
    return session.scalar(select(User).where(User.id == user_id, ~ended))


def end_sessions(session: Session, user_id: UUID) -> None:
    """Make every token of a user worthless."""
    session.execute(update(User).where(User.id == user_id).values(token_epoch=User.token_epoch + 1))


def revoke_token(session: Session, jti: UUID, user_id: UUID, expires_at: datetime, grace_seconds: float = 0) -> None:
    """End one token now, or after a grace; the sooner of two wishes counts.

    Args:
        jti: the token's id.
        expires_at: when the token would have ended anyway.
        grace_seconds: how long it still works.
    """
    works_until = func.now() + timedelta(seconds=grace_seconds)  # the database's clock, which is one for everybody
    revoked = insert(RevokedToken).values(jti=jti, user_id=user_id, expires_at=expires_at, works_until=works_until)
    session.execute(
        revoked.on_conflict_do_update(
            index_elements=[RevokedToken.jti],
            set_={"works_until": func.least(RevokedToken.works_until, revoked.excluded.works_until)},
        )
    )


def is_token_revoked(session: Session, jti: UUID) -> bool:
    """Whether this token was ended and its grace is over."""
    ended = exists().where(RevokedToken.jti == jti, RevokedToken.works_until <= func.clock_timestamp())
    return bool(session.scalar(select(ended)))


def hash_password(password: str, rounds: int | None = None) -> str:
    """A bcrypt hash of any text; `rounds` is the exponent of its cost."""
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds or BCRYPT_ROUNDS)).decode()


def _digest(password: str) -> bytes:
    """bcrypt takes 72 bytes without NUL; this makes 44 of any password, apart from every other use of SHA-256.

    The label is no secret: a stored hash must outlive the rotation of any key.
    """
    raw = password.encode(errors="surrogatepass")
    return base64.b64encode(hmac.digest(b"agentforge password v1", raw, hashlib.sha256))


@cache
def _hash_of_nobody(rounds: int) -> str:
    return hash_password("nobody has this password", rounds)
