"""Password resets. A worker looks the account up, so that the response does not reveal whether there is one.

A token is made when its mail is sent, and only its hash is stored. It is valid for half an hour and for one use, and
only while it is the newest of its user.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput
from models.services.accounts import accounts, addresses
from models.services.notifications import notifications
from models.services.rows import inbox
from models.services.rows.queries import lock_user
from models.tables import Channel, NotificationKind, PasswordReset, User

LIFETIME = timedelta(minutes=30)
MAX_MAILS = 5  # to one user in an hour
UNSENT_AFTER = timedelta(seconds=30)  # after which the message of an unhandled request is considered lost


class ResetTokenInvalid(InvalidInput):
    """The token is wrong, expired, used, or replaced by a newer one."""

    code = "reset_token_invalid"

    def __init__(self) -> None:
        error = FieldError("token", "Is not valid any more.")
        super().__init__("This link is not valid any more: request a new one.", errors=[error])


def request_reset(session: Session, email: str, address: str | None) -> PasswordReset:
    """Store a request for any address; `address` is the IP address of the caller."""
    row = PasswordReset(email=email.strip(), address=address)
    session.add(row)
    session.flush()
    return row


def unsent(session: Session, limit: int = 100) -> Sequence[UUID]:
    """Requests that lost their message."""
    new = select(PasswordReset.id).where(PasswordReset.user_id.is_(None))
    old = new.where(PasswordReset.created_at < func.now() - UNSENT_AFTER)
    return session.scalars(old.order_by(PasswordReset.created_at).limit(limit)).all()


def send_reset_mail(session: Session, reset_id: UUID) -> Sequence[UUID]:
    """Look up the user of a request and add the notification; returns the ids of the messages to publish.

    A request without a user, or above the limit of mails, is deleted.
    """
    row = inbox.claim(session, PasswordReset, PasswordReset.id == reset_id, PasswordReset.user_id.is_(None))
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
    """Make the token for the mail that is being sent; None if the request is void or not the user's newest.

    A mail that is sent again gets a new token, which replaces the earlier one.
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
    """The user whose password this token may set; raises `ResetTokenInvalid`."""
    user = session.scalar(select(User).join(PasswordReset, PasswordReset.user_id == User.id).where(_valid(token)))
    if user is None:
        raise ResetTokenInvalid
    return user


def redeem(session: Session, token: str, password_hash: str, *, welcome_credits: Callable[[str], Decimal]) -> UUID:
    """Set the password by a token, once, and end all sessions and access keys; returns the user's id.

    The token proves that the caller owns the mailbox, so the address is verified by it, and an account with an
    unverified address is cleared. Raises `ResetTokenInvalid`.
    """
    user_id = session.scalar(delete(PasswordReset).where(_valid(token)).returning(PasswordReset.user_id))
    if user_id is None:
        raise ResetTokenInvalid
    addresses.recover(session, user_id, welcome_credits=welcome_credits)
    accounts.set_password(session, user_id, password_hash)
    return user_id


def _valid(token: str) -> ColumnElement[bool]:
    return and_(PasswordReset.token_hash == _hash(token), PasswordReset.expires_at > func.clock_timestamp())


def _may_be_mailed(session: Session, user_id: UUID) -> bool:
    lock_user(session, user_id)
    recent = PasswordReset.created_at > func.now() - timedelta(hours=1)
    count = select(func.count()).select_from(PasswordReset).where(PasswordReset.user_id == user_id, recent)
    return session.scalars(count).one() < MAX_MAILS


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
