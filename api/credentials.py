"""Checking passwords at the edge: the connection is given back first, because hashing takes a third of a second.

Whether an address has an account shows neither in words nor in time: for both the same is read, hashed and written.
"""

from api.deeds import record
from api.session import close, db
from models.services import accounts, passwords
from models.services.passwords import WrongCredentials
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
