"""Email addresses of users: verified by a mailed link, replaced by a verified one, and restored after a takeover.

An unverified address gets no mails except links, and its account has no welcome credits and publishes no templates. A
new address takes effect when its link is followed. The old one, if it was verified, gets a link that restores it; while
that link is valid, no other account may use the address.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import Conflict, Quota, TooManyAttempts
from models.rules.values import emails
from models.services.accounts import account_access, accounts, email_links
from models.services.accounts.accounts import EmailAlreadyRegistered
from models.services.accounts.email_links import LinkInvalid
from models.services.credits import ledger
from models.services.notifications import notifications
from models.services.rows.queries import lock_user
from models.services.stripe import stripe_requests
from models.tables import Channel, EmailLink, LinkPurpose, NotificationKind, PasswordReset, User

UNUSABLE_PASSWORD = "!"  # noqa: S105  # not a hash, so it matches no password


class AlreadyVerified(Conflict):
    """The email address is verified, and no other one waits for verification."""

    code = "already_verified"

    def __init__(self) -> None:
        super().__init__("Your email address is verified already.")


class TooManyMails(TooManyAttempts):
    """Too many links were requested for this address or by this user."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            "Several links were mailed already. Check your mail, or try again in an hour.",
            quota=Quota(email_links.MAX_PER_HOUR, email_links.MAX_PER_HOUR),
            retry_after=retry_after,
        )


def welcome(session: Session, user: User) -> Sequence[UUID]:
    """Mail the verification link of a new account, unless too many were mailed to its address recently.

    Returns the ids of the messages to publish. Raises `EmailAlreadyRegistered` if another user may still restore this
    address.
    """
    if email_links.is_reserved(session, user.email, user.id):
        raise EmailAlreadyRegistered
    if email_links.seconds_until_next(session, user.id, user.email) > 0:
        return ()
    return email_links.send(session, user.id, LinkPurpose.VERIFY, user.email)


def resend(session: Session, user_id: UUID) -> Sequence[UUID]:
    """Mail a new link to the unverified address and return the ids of the messages to publish.

    Raises `AlreadyVerified` and `TooManyMails`.
    """
    user = _locked(session, user_id)
    address = user.pending_email or (None if user.email_verified_at else user.email)
    if address is None:
        raise AlreadyVerified
    return _send(session, user, address)


def change_profile(
    session: Session, user_id: UUID, *, name: str | None = None, email: str | None = None
) -> Sequence[UUID]:
    """Change the name at once; a new address replaces the old one once its link is followed.

    An address of another account gets no link, which the response does not reveal; its owner is notified, once a day.

    Returns the ids of the messages to publish. Raises `TooManyMails`.
    """
    user = _locked(session, user_id)
    user.name = name or user.name
    if email is None or email == user.pending_email:
        session.flush()
        return ()
    if emails.key(email) == emails.key(user.email):
        user.email = email  # differs at most in case
        session.flush()
        return ()
    user.pending_email = email
    session.flush()
    return _send(session, user, email)


def verify(session: Session, token: str, *, welcome_credits: Callable[[str], Decimal]) -> User:
    """Verify the address of a link by its token; raises `LinkInvalid` and `EmailAlreadyRegistered`.

    `welcome_credits` returns the credits that an address gets.
    """
    link = email_links.redeem(session, token, LinkPurpose.VERIFY)
    user = _locked(session, link.user_id)
    if emails.key(link.email) == emails.key(user.email):
        confirm(session, user, welcome_credits=welcome_credits)
    elif user.pending_email and emails.key(link.email) == emails.key(user.pending_email):
        _replace(session, user, link.email)
        confirm(session, user, welcome_credits=welcome_credits)
    else:
        raise LinkInvalid
    return user


def confirm(session: Session, user: User, *, welcome_credits: Callable[[str], Decimal]) -> None:
    """Mark the user's address as verified, and grant the welcome credits once, for the first verified address."""
    if user.email_verified_at:
        return
    user.email_verified_at = datetime.now(UTC)
    session.flush()
    stripe_requests.update_address(session, user)
    if (amount := welcome_credits(user.email)) > 0:
        key = f"welcome:{user.id}"
        ledger.grant(session, user.id, amount, key=key, reason="Welcome credits", source="welcome")


def undo(session: Session, token: str) -> User:
    """Restore a replaced address by its token, end all access, and make the password unusable.

    Raises `LinkInvalid`.
    """
    link = email_links.redeem(session, token, LinkPurpose.UNDO)
    user = _locked(session, link.user_id)
    user.pending_email, user.password_hash = None, UNUSABLE_PASSWORD
    email_links.void(session, user.id, (EmailLink.purpose == LinkPurpose.VERIFY) | (EmailLink.id == link.id))
    email_links.void(session, user.id, EmailLink.created_at >= link.created_at)
    _set(session, user, link.email)
    account_access.end(session, user.id)
    return user


def recover(session: Session, user_id: UUID, *, welcome_credits: Callable[[str], Decimal]) -> None:
    """End all access to an account whose owner proved the address by a reset mail.

    If the address was unverified, the data of the registrant, who may be another person, is removed too.
    """
    user = _locked(session, user_id)
    user.pending_email = None
    email_links.void(session, user.id, EmailLink.purpose == LinkPurpose.VERIFY)
    if not user.email_verified_at:
        user.name = user.email.partition("@")[0]
        account_access.clear(session, user.id)
        stripe_requests.close_account(session, user.id)  # cards and subscription may be another person's
        confirm(session, user, welcome_credits=welcome_credits)
    account_access.end(session, user.id)


def _send(session: Session, user: User, address: str) -> Sequence[UUID]:
    if (seconds := email_links.seconds_until_next(session, user.id, address)) > 0:
        raise TooManyMails(seconds)
    other = accounts.by_email(session, address)
    if other is None or other.id == user.id:
        return email_links.send(session, user.id, LinkPurpose.VERIFY, address)
    email_links.send_nothing(session, user.id, address)
    key = f"email-in-use:{other.id}:{datetime.now(UTC):%Y-%m-%d}"
    return notifications.add(session, other.id, NotificationKind.EMAIL_IN_USE, {}, key=key, channels=(Channel.EMAIL,))


def _replace(session: Session, user: User, address: str) -> None:
    """Replace the address; the old one, if it was verified, gets a link that restores it."""
    before, was_verified = user.email, user.email_verified_at is not None
    user.pending_email = None
    _set(session, user, address)
    if email_links.is_reserved(session, address, user.id):
        raise EmailAlreadyRegistered
    if was_verified:
        email_links.send(session, user.id, LinkPurpose.UNDO, before, {"email": address})


def _set(session: Session, user: User, address: str) -> None:
    """Set the address, and void reset links that were mailed to the previous one."""
    user.email = address
    try:
        with session.begin_nested():
            session.flush()
    except IntegrityError:
        raise EmailAlreadyRegistered from None
    session.execute(delete(PasswordReset).where(PasswordReset.user_id == user.id))
    if user.email_verified_at:
        stripe_requests.update_address(session, user)


def _locked(session: Session, user_id: UUID) -> User:
    lock_user(session, user_id)
    return session.scalars(
        select(User).where(User.id == user_id).with_for_update().execution_options(populate_existing=True)
    ).one()
