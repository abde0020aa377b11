"""Opens accounts and knows who is who."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.services import credits, passwords
from models.user import Role, User


class EmailTaken(Conflict):
    """One address, one account."""

    code = "email_taken"

    def __init__(self) -> None:
        super().__init__("There is an account with this email address already.")


def register(session: Session, *, email: str, password: str, name: str, welcome_credits: Decimal) -> User:
    """Open an account with its wallet and, once, its welcome credits; raises `EmailTaken`.

    The address is kept as typed, without space around it, and compared without regard to case. The password is hashed
    first and whether or not the address is taken, so that the time it takes tells nothing; begin without a transaction.
    """
    password_hash = passwords.hash_password(password)
    user = session.scalar(
        insert(User)
        .values(email=email.strip(), password_hash=password_hash, name=name)
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


def by_email(session: Session, email: str) -> User | None:
    """The user with this address, whatever its case."""
    return session.scalar(select(User).where(func.lower(User.email) == func.lower(email.strip())))


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
