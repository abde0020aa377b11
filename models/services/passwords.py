"""Passwords: hashed slowly on purpose, a few at a time, and never compared in a way that tells who has an account.

Hashing takes a third of a second of one core. It lets other threads run, but no more of it goes on at once than there
are cores to spare: whoever finds no place soon is told to come back. Hold no transaction while you call anything here.
"""

import base64
import hashlib
import hmac
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import bcrypt

from models.errors import FieldError, InvalidInput, NotAuthenticated, TransientError

BCRYPT_ROUNDS = 12  # a third of a second; tests lower it
AT_ONCE = max(1, (os.cpu_count() or 1) - 1)  # per process
PATIENCE = 2.0  # seconds to wait for a place

_places = threading.BoundedSemaphore(AT_ONCE)


class WrongCredentials(NotAuthenticated):
    """The same words whether the account is unknown or the password is wrong."""

    code = "wrong_credentials"

    def __init__(self) -> None:
        super().__init__("The email address or the password is wrong.")


class WrongPassword(InvalidInput):
    """Somebody who is signed in does not know the password. Not 401, which would sign the app out."""

    code = "wrong_password"

    def __init__(self, field: str) -> None:
        super().__init__("The password is wrong.", errors=[FieldError(field, "Is not your password.")])


def hash_password(password: str) -> str:
    """A bcrypt hash of any text; raises `TransientError` when too many are at it."""
    with _place():
        return bcrypt.hashpw(_digest(password), bcrypt.gensalt(BCRYPT_ROUNDS)).decode()


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether this is the password; without a usable hash it takes as long to say no. Raises `TransientError` too."""
    known = password_hash if password_hash and password_hash.startswith("$2") else None
    with _place():
        return bcrypt.checkpw(_digest(password), (known or _hash_of_nobody(BCRYPT_ROUNDS)).encode()) and bool(known)


def check_choice(password: str, email: str, *, field: str) -> None:
    """Refuse the one password that everybody would try first; raises `InvalidInput`."""
    if password.strip().lower() == email.strip().lower():
        message = "Must not be the email address."
        raise InvalidInput("Choose another password.", errors=[FieldError(field, message)])


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=PATIENCE):
        raise TransientError("Too many people are signing in just now; try again in a moment.")
    try:
        yield
    finally:
        _places.release()


def _digest(password: str) -> bytes:
    """bcrypt takes 72 bytes without NUL; this makes 44 of any password, apart from every other use of SHA-256.

    The label is no secret: a stored hash must outlive the rotation of any key.
    """
    raw = password.encode(errors="surrogatepass")
    return base64.b64encode(hmac.digest(b"agentforge password v1", raw, hashlib.sha256))


@cache
def _hash_of_nobody(rounds: int) -> str:
    return bcrypt.hashpw(_digest("nobody has this password"), bcrypt.gensalt(rounds)).decode()
