"""Checking passwords at the edge: the connection is given back first, because hashing takes a third of a second.

Whether an address has an account shows neither in words nor in time: for both the same is read, hashed and written.
"""

from api.deeds import record
from api.session import close, db
from models.services import accounts, password_resets, passwords
from models.services.passwords import WrongCredentials, WrongPassword
from models.user import User


def verified(email: str, password: str) -> User:
    """The user with this address and password; raises `WrongCredentials`."""
    user = accounts.by_email(db(), email)
    close()
    is_right = passwords.is_right(password, user.password_hash if user else None)
    if user is None or not is_right:
        record("auth.login_failed", user.id if user else None)
        db().commit()
        raise WrongCredentials
    return user


def hashed_change(user: User, current: str, new: str) -> str:
    """The hash of a new password for somebody who knows the present one; raises `WrongPassword` and `InvalidInput`."""
    passwords.check_choice(new, user.email, field="newPassword")
    close()
    if not passwords.is_right(current, user.password_hash):
        record("auth.wrong_password", user.id)
        db().commit()
        raise WrongPassword("currentPassword")
    return passwords.hash_password(new)


def hashed_reset(token: str, new: str) -> str:
    """The hash of a new password for whoever has the token; raises `ResetTokenInvalid` and `InvalidInput`."""
    user = password_resets.holder(db(), token)
    close()
    passwords.check_choice(new, user.email, field="newPassword")
    return passwords.hash_password(new)
