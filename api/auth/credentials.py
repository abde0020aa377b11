"""Checks and hashes passwords of requests.

Hashing takes a third of a second, and more while other requests hash; meanwhile the request holds no database
connection and no concurrency slot. Responses and their timing do not reveal whether an address has an account: the
same rows are read and written and the same work is done for both.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from flask import current_app

from api.auth.audit import record
from api.auth.second_factor import vault
from api.http.client_address import caller_network
from api.http.session import close, db
from api.limits.concurrency import slot_released
from models.services.accounts import accounts, deletions, password_resets, passwords
from models.services.accounts.passwords import WrongCredentials, WrongPassword
from models.tables import User


@contextmanager
def _hashing() -> Iterator[None]:
    close()
    with slot_released():
        yield


def hashed(password: str, email: str, name: str) -> str:
    """The hash of the password of a new account; raises `InvalidInput`."""
    passwords.check_choice(password, email=email, name=name, field="password")
    with _hashing():
        return passwords.hash_password(password, network=caller_network())


def verified(email: str, password: str) -> User:
    """The user with this address and password; raises `WrongCredentials`."""
    user = accounts.by_email(db(), email)
    with _hashing():
        is_right = passwords.is_right(password, user.password_hash if user else None, network=caller_network())
    if user is None or not is_right:
        record("auth.login_failed", user.id if user else None)
        db().commit()
        raise WrongCredentials
    return user


def hashed_change(user: User, current: str, new: str) -> str:
    """The hash of a new password, if `current` is the current one; raises `WrongPassword` and `InvalidInput`."""
    passwords.check_choice(new, email=user.email, name=user.name, field="newPassword")
    check_password(user, current, field="currentPassword")
    with _hashing():
        return passwords.hash_password(new, network=caller_network())


def check_password(user: User, password: str, *, field: str = "password") -> None:
    """Verify the password of the signed-in user; raises `WrongPassword` for `field`."""
    with _hashing():
        is_right = passwords.is_right(password, user.password_hash, network=caller_network())
    if not is_right:
        record("auth.wrong_password", user.id)
        db().commit()
        raise WrongPassword(field)


def hashed_reset(token: str, new: str) -> str:
    """The hash of a new password for the owner of the reset token; raises `ResetTokenInvalid` and `InvalidInput`."""
    user = password_resets.holder(db(), token)
    passwords.check_choice(new, email=user.email, name=user.name, field="newPassword")
    with _hashing():
        return passwords.hash_password(new, network=caller_network())


def welcome_credits(email: str) -> Decimal:
    """The credits for a new account with this address: none if the address had an account before."""
    is_new = not deletions.had_account(db(), email, vault=vault())
    granted: Decimal = current_app.extensions["settings"].welcome_credits
    return granted if is_new else Decimal(0)
