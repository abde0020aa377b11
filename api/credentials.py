"""Checking passwords at the edge. Hashing takes a third of a second, and others may be at it: meanwhile this request
holds no connection to the database, and no place among those that work.

Whether an address has an account shows neither in words nor in time: for both the same is read, hashed and written.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from api.concurrency import away
from api.deeds import record
from api.session import close, db
from models.services import accounts, password_resets, passwords
from models.services.passwords import WrongCredentials, WrongPassword
from models.user import User


@contextmanager
def _hashing() -> Iterator[None]:
    close()
    with away():
        yield


def hashed(password: str, email: str) -> str:
    """The hash of the password of a new account; raises `InvalidInput`."""
    passwords.check_choice(password, email, field="password")
    with _hashing():
        return passwords.hash_password(password)


def verified(email: str, password: str) -> User:
    """The user with this address and password; raises `WrongCredentials`."""
    user = accounts.by_email(db(), email)
    with _hashing():
        is_right = passwords.is_right(password, user.password_hash if user else None)
    if user is None or not is_right:
        record("auth.login_failed", user.id if user else None)
        db().commit()
        raise WrongCredentials
    return user


def hashed_change(user: User, current: str, new: str) -> str:
    """The hash of a new password for somebody who knows the present one; raises `WrongPassword` and `InvalidInput`."""
    passwords.check_choice(new, user.email, field="newPassword")
    with _hashing():
        is_right = passwords.is_right(current, user.password_hash)
    if not is_right:
        record("auth.wrong_password", user.id)
        db().commit()
        raise WrongPassword("currentPassword")
    with _hashing():
        return passwords.hash_password(new)


def hashed_reset(token: str, new: str) -> str:
    """The hash of a new password for whoever has the token; raises `ResetTokenInvalid` and `InvalidInput`."""
    user = password_resets.holder(db(), token)
    passwords.check_choice(new, user.email, field="newPassword")
    with _hashing():
        return passwords.hash_password(new)
