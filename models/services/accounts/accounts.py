"""Creates accounts, looks users up, and changes passwords and roles."""

from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, collate, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.rules.values import emails
from models.services.accounts import access_keys, sessions
from models.services.credits import ledger
from models.services.notifications import notifications
from models.tables import NotificationKind, PasswordReset, Role, User


class EmailAlreadyRegistered(Conflict):
    """Another account has this email address."""

    code = "email_taken"

    def __init__(self) -> None:
        super().__init__("An account with this email address exists already.")


def register(session: Session, *, email: str, password_hash: str, name: str) -> User:
    """Create an account with an unverified address and an empty wallet; raises `EmailAlreadyRegistered`.

    `email` must be normalized by `emails.normalize`. It is stored as given, and compared by its `emails.key`.
    """
    user = session.scalar(
        insert(User)
        .values(email=email.strip(), password_hash=password_hash, name=name)
        .on_conflict_do_nothing(index_elements=[text('lower(email COLLATE "C")')])
        .returning(User)
    )
    if user is None:
        raise EmailAlreadyRegistered
    ledger.open_wallet(session, user.id)
    return user


def by_email(session: Session, email: str) -> User | None:
    """The user with this address, compared without case."""
    return session.scalar(select(User).where(has_address(email)))


def has_address(email: str) -> ColumnElement[bool]:
    """The condition that a user has this address."""
    return func.lower(collate(User.email, "C")) == emails.key(email)


def find(session: Session, user_id: UUID) -> User | None:
    """The user with this id."""
    return session.get(User, user_id)


def change_password(session: Session, user: User, new_hash: str, *, kept: UUID) -> None:
    """Change the password of a user whose current one was verified, and end all sessions except `kept`.

    Raises `Conflict` if the password was changed since `user` was read.
    """
    unchanged = select(User.id).where(User.id == user.id, User.password_hash == user.password_hash)
    if session.scalar(unchanged.with_for_update()) is None:
        raise Conflict("The password was changed by another request at the same time.")
    set_password(session, user.id, new_hash, kept=kept)


def set_password(session: Session, user_id: UUID, password_hash: str, *, kept: UUID | None = None) -> None:
    """Set a password, end all sessions except `kept`, void all reset links, and notify the user.

    Access keys stay valid, because programs use them; the notification says how many there are.
    """
    session.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))
    sessions.end_others(session, user_id, kept)
    _void_resets(session, user_id)
    key = f"password-changed:{uuid4()}"
    payload = {"accessKeys": access_keys.count_live(session, user_id)}
    notifications.add(session, user_id, NotificationKind.PASSWORD_CHANGED, payload, key=key)


def set_role(session: Session, email: str, role: Role) -> User:
    """Set the role of the user with this address, from their next request on; raises `NotFound`."""
    user = session.scalar(update(User).where(has_address(email)).values(role=role).returning(User))
    if user is None:
        raise NotFound("user")
    return user


def _void_resets(session: Session, user_id: UUID) -> None:
    session.execute(delete(PasswordReset).where(PasswordReset.user_id == user_id))
