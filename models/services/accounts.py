"""Opens accounts and knows who is who."""

from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.notification import Channel, NotificationKind
from models.password_reset import PasswordReset
from models.services import access_keys, credits, notifications, sessions
from models.user import Role, User


class EmailTaken(Conflict):
    """One address, one account."""

    code = "email_taken"

    def __init__(self) -> None:
        super().__init__("There is an account with this email address already.")


def register(session: Session, *, email: str, password_hash: str, name: str, welcome_credits: Decimal) -> User:
    """Open an account with its wallet and, once, its welcome credits; raises `EmailTaken`.

    The address is kept as typed, without space around it, and compared without regard to case.
    """
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


def change_profile(session: Session, user: User, *, name: str | None = None, email: str | None = None) -> bool:
    """Change what is given; answers whether mail goes to another address now. Raises `EmailTaken`.

    The new address counts at once. The old one is told, and links for a new password that went to it are void.
    """
    user = session.get_one(User, user.id)  # whoever asks is known by a copy
    before, after = user.email, (email or user.email).strip()
    user.name = name or user.name
    user.email = after
    try:
        with session.begin_nested():
            session.flush()
    except IntegrityError:
        raise EmailTaken from None
    if before.lower() == after.lower():
        return False
    _void_resets(session, user.id)
    payload = {"to": before, "email": after}
    notifications.add(
        session,
        user.id,
        NotificationKind.EMAIL_CHANGED,
        payload,
        key=f"email-changed:{uuid4()}",
        channels=(Channel.EMAIL,),
    )
    return True


def change_password(session: Session, user: User, new_hash: str, *, kept: UUID) -> None:
    """Set a password for a user who knew the one before, and end all sessions but one; raises `Conflict`.

    The hash that was checked must still be there: of two changes at once one is too late.
    """
    same = select(User.id).where(User.id == user.id, User.password_hash == user.password_hash)
    if session.scalar(same.with_for_update()) is None:
        raise Conflict("The password was changed by somebody else at this moment.")
    set_password(session, user.id, new_hash, kept=kept)


def set_password(session: Session, user_id: UUID, password_hash: str, *, kept: UUID | None = None) -> None:
    """Set a password, end all sessions but one, void all links for a new password, and tell the user.

    Access keys go on working, because programs hold them: the user is told how many there are.
    """
    session.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))
    sessions.end_others(session, user_id, kept)
    _void_resets(session, user_id)
    key = f"password-changed:{uuid4()}"
    payload = {"accessKeys": access_keys.count_live(session, user_id)}
    notifications.add(session, user_id, NotificationKind.PASSWORD_CHANGED, payload, key=key)


def set_role(session: Session, email: str, role: Role) -> User:
    """Give the user with this address a role, which counts from their next request on; raises `NotFound`."""
    whose = func.lower(User.email) == func.lower(email.strip())
    user = session.scalar(update(User).where(whose).values(role=role).returning(User))
    if user is None:
        raise NotFound("user")
    return user


def _void_resets(session: Session, user_id: UUID) -> None:
    session.execute(delete(PasswordReset).where(PasswordReset.user_id == user_id))
