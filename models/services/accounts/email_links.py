"""Mailed links: requested in the transaction of their cause, valid once and for a limited time, stored as hashes."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, collate, exists, func, select, update
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput
from models.rules.values import emails
from models.services.notifications import notifications
from models.tables import Channel, EmailLink, LinkPurpose, NotificationKind

LIFETIMES = {LinkPurpose.VERIFY: timedelta(hours=24), LinkPurpose.UNDO: timedelta(hours=72)}
KINDS = {LinkPurpose.VERIFY: NotificationKind.EMAIL_LINK, LinkPurpose.UNDO: NotificationKind.EMAIL_CHANGED}
HOUR = timedelta(hours=1)
MAX_PER_HOUR = 5  # to one address, and by one user
_CLOSED = {"closed_at": func.clock_timestamp(), "token_hash": None}
_AS_IT_IS = {"synchronize_session": False}


class LinkInvalid(InvalidInput):
    """The link is wrong, expired, used, or replaced by a newer one."""

    code = "link_invalid"

    def __init__(self) -> None:
        error = FieldError("token", "Is not valid any more.")
        super().__init__("This link is not valid any more.", errors=[error])


def seconds_until_next(session: Session, user_id: UUID, address: str) -> float:
    """Seconds until another link may be requested by this user or for this address; 0 if one may be now."""
    left = func.extract("epoch", EmailLink.created_at + HOUR - func.now())
    requested = select(left).where(EmailLink.purpose == LinkPurpose.VERIFY).order_by(EmailLink.created_at.desc())
    nth = requested.offset(MAX_PER_HOUR - 1).limit(1)
    found = [session.scalar(nth.where(whose)) for whose in (EmailLink.user_id == user_id, _is_about(address))]
    return max(0.0, *(float(seconds or 0) for seconds in found))


def send(
    session: Session, user_id: UUID, purpose: LinkPurpose, address: str, payload: Mapping[str, str] | None = None
) -> Sequence[UUID]:
    """Add a notification with a link to `address`; a link to verify replaces the user's earlier ones.

    Returns the ids of the messages to publish.
    """
    if purpose is LinkPurpose.VERIFY:
        void(session, user_id, EmailLink.purpose == LinkPurpose.VERIFY)
    link = EmailLink(user_id=user_id, purpose=purpose, email=address, expires_at=func.now() + LIFETIMES[purpose])
    session.add(link)
    session.flush()
    return notifications.add(
        session,
        user_id,
        KINDS[purpose],
        {"linkId": str(link.id), "to": address, **(payload or {})},
        key=f"email-link:{link.id}",
        channels=(Channel.EMAIL,),
    )


def send_nothing(session: Session, user_id: UUID, address: str) -> None:
    """Count as `send` does without a mail, so that both look the same to the caller."""
    void(session, user_id, EmailLink.purpose == LinkPurpose.VERIFY)
    now = func.clock_timestamp()
    link = EmailLink(user_id=user_id, purpose=LinkPurpose.VERIFY, email=address, expires_at=now, closed_at=now)
    session.add(link)
    session.flush()


def issue(session: Session, link_id: UUID) -> str | None:
    """Make the token for the mail that is being sent; None if the link is void.

    A mail that is sent again gets a new token, which replaces the earlier one.
    """
    token = secrets.token_urlsafe(32)
    live = update(EmailLink).where(EmailLink.id == link_id, _is_live())
    found = session.scalar(live.values(token_hash=_hash(token)).returning(EmailLink.id), execution_options=_AS_IT_IS)
    return token if found else None


def redeem(session: Session, token: str, purpose: LinkPurpose) -> EmailLink:
    """Use and close the link of a token; raises `LinkInvalid`."""
    matches = EmailLink.token_hash == _hash(token)
    used = update(EmailLink).where(matches, EmailLink.purpose == purpose, _is_live()).values(**_CLOSED)
    link = session.scalar(used.returning(EmailLink), execution_options={"populate_existing": True})
    if link is None:
        raise LinkInvalid
    return link


def void(session: Session, user_id: UUID, *conditions: ColumnElement[bool]) -> None:
    """Close the open links of a user that meet all conditions."""
    links = update(EmailLink).where(EmailLink.user_id == user_id, EmailLink.closed_at.is_(None), *conditions)
    session.execute(links.values(**_CLOSED), execution_options=_AS_IT_IS)


def is_reserved(session: Session, address: str, user_id: UUID) -> bool:
    """Whether a user other than `user_id` may still restore this address."""
    live = exists().where(
        _is_about(address), EmailLink.purpose == LinkPurpose.UNDO, EmailLink.user_id != user_id, _is_live()
    )
    return session.scalar(select(live)) or False


def _is_about(address: str) -> ColumnElement[bool]:
    return func.lower(collate(EmailLink.email, "C")) == emails.key(address)


def _is_live() -> ColumnElement[bool]:
    return EmailLink.closed_at.is_(None) & (EmailLink.expires_at > func.clock_timestamp())


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
