"""Hashing and checking of passwords, slow on purpose, with the same timing whether or not an account exists.

Hashing takes a third of a second of one core. It lets other threads run, but at most as many hashes are computed at
once as cores can be spared. Networks share them fairly, so that guesses from one network do not block others; a caller
who gets no slot in time gets an error to retry. Hold no transaction while calling these functions.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import bcrypt

from models.errors import FieldError, InvalidInput, NotAuthenticated, TransientError
from models.fair_slots import FairSemaphore, QueueFull
from models.rules.values.password_strength import weakness

BCRYPT_ROUNDS = 12  # a third of a second; tests lower it
AT_ONCE = max(1, (os.cpu_count() or 1) - 1)  # hashes at a time, per process
QUEUE_TIMEOUT_SECONDS = 5.0  # to wait for a slot
MAX_QUEUED = 4  # of one network; more would not be served within the time-out

_slots = FairSemaphore(AT_ONCE, per_group=max(1, AT_ONCE - 1), waiting=MAX_QUEUED)


class WrongCredentials(NotAuthenticated):
    """The email address or the password is wrong."""

    code = "wrong_credentials"

    def __init__(self) -> None:
        super().__init__("The email address or the password is wrong.")


class WrongPassword(InvalidInput):
    """The password of the signed-in user is wrong. This is not a 401, which would sign the app out."""

    code = "wrong_password"

    def __init__(self, field: str) -> None:
        super().__init__("The password is wrong.", errors=[FieldError(field, "Is not your password.")])


def hash_password(password: str, *, network: str = "") -> str:
    """Return a bcrypt hash of any text, for a caller from `network`; raises `TransientError` if no slot is free."""
    with _slot(network):
        return bcrypt.hashpw(_digest(password), bcrypt.gensalt(BCRYPT_ROUNDS)).decode()


def is_right(password: str, password_hash: str | None, *, network: str = "") -> bool:
    """Whether this is the password; takes the same time without a usable hash. Raises `TransientError`."""
    known = password_hash if password_hash and password_hash.startswith("$2") else None
    with _slot(network):
        return bcrypt.checkpw(_digest(password), (known or _hash_of_no_user(BCRYPT_ROUNDS)).encode()) and bool(known)


def check_choice(password: str, *, email: str, name: str, field: str) -> None:
    """Raise `InvalidInput` for a password that is easy to guess."""
    problem = weakness(password, (email.partition("@")[0], name))
    if problem is not None:
        sentence = f"The password {problem}."
        raise InvalidInput(sentence, errors=[FieldError(field, sentence)])


@contextmanager
def _slot(network: str) -> Iterator[None]:
    try:
        with _slots.acquired(network, timeout=QUEUE_TIMEOUT_SECONDS):
            yield
    except QueueFull:
        raise TransientError("Too many sign-ins at the moment; try again shortly.") from None


def _digest(password: str) -> bytes:
    """Digest a password of any length to 44 bytes, because bcrypt takes at most 72 bytes without NUL.

    The label separates this from other uses of SHA-256. It is not secret: stored hashes must outlive key rotations.
    """
    raw = password.encode(errors="surrogatepass")
    return base64.b64encode(hmac.digest(b"agentforge password v1", raw, hashlib.sha256))


@cache
def _hash_of_no_user(rounds: int) -> str:
    return bcrypt.hashpw(_digest("nobody has this password"), bcrypt.gensalt(rounds)).decode()
