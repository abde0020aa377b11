"""Forgotten passwords. Whoever asks is told the same, whether or not there is an account: workers find out.

A token is made when its mail is about to be sent, and only its hash is kept: it is in the mail and nowhere else.
It is good for half an hour and for one use, and only while it is its user's newest.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput
from models.notification import Channel, NotificationKind
from models.password_reset import PasswordReset
from models.services import accounts, notifications
from models.services.locks import lock_user
from models.user import User

LIFETIME = timedelta(minutes=30)
MOST_MAILS = 5  # to one user in an hour, whoever asks for them
FORGOTTEN = timedelta(seconds=30)  # a wish that is older lost its doorbell


class ResetTokenInvalid(InvalidInput):
    """It was never one, is too old, was used, or a newer one was sent."""

    code = "reset_token_invalid"

    def __init__(self) -> None:
        error = FieldError("token", "Is not valid any more.")
        super().__init__("This link is not valid any more: ask for a new one.", errors=[error])


def ask(session: Session, email: str, address: str | None) -> PasswordReset:
    """Write down the wish, of whoever it may be."""
    row = PasswordReset(email=email.strip(), address=address)
    session.add(row)
    session.flush()
    return row


def forgotten(session: Session, limit: int = 100) -> Sequence[UUID]:
    """Wishes that nobody looked at."""
    new = select(PasswordReset.id).where(PasswordReset.user_id.is_(None))
    old = new.where(PasswordReset.created_at < func.now() - FORGOTTEN)
    return session.scalars(old.order_by(PasswordReset.created_at).limit(limit)).all()


def answer(session: Session, reset_id: UUID) -> Sequence[UUID]:
    """Find out whose wish it is and write the mail, without its token; the ids of the messages to send."""
    wish = select(PasswordReset).where(PasswordReset.id == reset_id, PasswordReset.user_id.is_(None))
    row = session.scalar(wish.with_for_update(skip_locked=True))
    if row is None:
        return []
    user = accounts.by_email(session, row.email)
    if user is None or not _may_be_mailed(session, user.id):
        session.delete(row)
        return []
    row.user_id = user.id
    return notifications.add(
        session,
        user.id,
        NotificationKind.PASSWORD_RESET,
        {"resetId": str(row.id)},
        key=f"password-reset:{row.id}",
        channels=(Channel.EMAIL,),
    )


def issue(session: Session, reset_id: UUID) -> str | None:
    """The token, for the mail that is sent now; None when a newer wish, or what happened since, voided this one.

    A mail that has to be sent again gets a token of its own, and the one before it is void.
    """
    row = session.scalar(select(PasswordReset).where(PasswordReset.id == reset_id).with_for_update())
    if row is None or row.user_id is None:
        return None
    of_user = PasswordReset.user_id == row.user_id
    newest = select(PasswordReset.id).where(of_user).order_by(PasswordReset.created_at.desc()).limit(1)
    if session.scalar(newest) != row.id:
        return None
    session.execute(update(PasswordReset).where(of_user).values(token_hash=None, expires_at=None))
    token = secrets.token_urlsafe(32)
    granted = {"token_hash": _hash(token), "expires_at": func.clock_timestamp() + LIFETIME}
    session.execute(update(PasswordReset).where(PasswordReset.id == row.id).values(**granted))
    return token


def holder(session: Session, token: str) -> User:
    """Whose password this token may set; raises `ResetTokenInvalid`."""
    user = session.scalar(select(User).join(PasswordReset, PasswordReset.user_id == User.id).where(_valid(token)))
    if user is None:
        raise ResetTokenInvalid
    return user


def redeem(session: Session, token: str, password_hash: str) -> UUID:
    """Set the password, once, and end all sessions; answers whose it was. Raises `ResetTokenInvalid`."""
    user_id = session.scalar(delete(PasswordReset).where(_valid(token)).returning(PasswordReset.user_id))
    if user_id is None:
        raise ResetTokenInvalid
    accounts.set_password(session, user_id, password_hash)
    return user_id


def _valid(token: str) -> ColumnElement[bool]:
    return and_(PasswordReset.token_hash == _hash(token), PasswordReset.expires_at > func.clock_timestamp())


def _may_be_mailed(session: Session, user_id: UUID) -> bool:
    lock_user(session, user_id)
    recent = PasswordReset.created_at > func.now() - timedelta(hours=1)
    count = select(func.count()).select_from(PasswordReset).where(PasswordReset.user_id == user_id, recent)
    return session.scalars(count).one() < MOST_MAILS


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
