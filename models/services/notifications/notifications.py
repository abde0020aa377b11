"""Notifications of users: written in the transaction of their cause and sent afterwards, at least once.

A sender claims a notification and commits before it sends, so that a crash while sending counts as an attempt.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Uuid, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.services.rows import inbox
from models.tables import (
    UNVERIFIED_KINDS,
    Channel,
    Credit,
    CreditTransaction,
    CreditType,
    Notification,
    NotificationKind,
    NotificationStatus,
    PushDevice,
)

MAX_ATTEMPTS = 5
MIN_WAIT = 60.0  # seconds; doubles with every attempt
LOW_BALANCE = Decimal(5)  # credits; less than the welcome credits

_REACHABLE = text("""
    SELECT EXISTS (SELECT FROM push_devices WHERE user_id = u.id), u.email_verified_at IS NOT NULL
      FROM users u WHERE u.id = :user AND u.deleted_at IS NULL
""").bindparams(bindparam("user", type_=Uuid()))


def add(
    session: Session,
    user_id: UUID,
    kind: NotificationKind,
    payload: Mapping[str, Any],
    *,
    key: str,
    channels: Sequence[Channel] = (Channel.EMAIL, Channel.PUSH),
) -> Sequence[UUID]:
    """Add a notification once per `key` and channel: by mail, and by push if the user has a device.

    Unverified addresses get only notifications of `UNVERIFIED_KINDS`.

    Args:
        session: the session of the transaction.
        user_id: the user to notify.
        kind: selects the text.
        payload: values for the text as JSON: ids and amounts, no secrets.
        key: a permanent key of the cause, such as `purchase:<purchase id>`.
        channels: the channels to use, if the user has them.

    Returns:
        The ids of the new notifications, for publishing; empty if they exist already, or the account is deleted.
    """
    known = session.execute(_REACHABLE, {"user": user_id}).one_or_none()
    if known is None:
        return []
    has_device, is_verified = known
    reachable = {Channel.PUSH: has_device, Channel.EMAIL: is_verified or kind in UNVERIFIED_KINDS}
    rows = [
        {"user_id": user_id, "kind": kind, "channel": channel, "payload": dict(payload), "key": key}
        for channel in channels
        if reachable[channel]
    ]
    if not rows:
        return ()
    added = insert(Notification).values(rows).on_conflict_do_nothing().returning(Notification.id)
    return session.scalars(added).all()


def add_farewell(session: Session, user_id: UUID, address: str) -> Sequence[UUID]:
    """Add the notification of a deleted account to its verified address, which only this row still has."""
    row = {"user_id": user_id, "kind": NotificationKind.ACCOUNT_DELETED, "channel": Channel.EMAIL}
    added = insert(Notification).values(**row, payload={"to": address}, key=f"account-deleted:{user_id}")
    return session.scalars(added.on_conflict_do_nothing().returning(Notification.id)).all()


def low_balance(session: Session, user_id: UUID) -> Sequence[UUID]:
    """Notify the user if less than `LOW_BALANCE` is available, once after each time credits were added."""
    free = session.scalar(select(Credit.balance - Credit.held).where(Credit.user_id == user_id))
    if free is None or free >= LOW_BALANCE:
        return []
    credited = (CreditTransaction.user_id == user_id, CreditTransaction.type == CreditType.CREDIT)
    last = session.scalar(select(func.max(CreditTransaction.version)).where(*credited))
    payload = {"available": str(free)}
    return add(session, user_id, NotificationKind.LOW_BALANCE, payload, key=f"low-balance:{user_id}:{last or 0}")


def claim(session: Session, notification_id: UUID) -> Notification | None:
    """Claim a notification for sending and count the attempt; None if it is not pending or had too many attempts.

    Commit before sending, so that an attempt in which the sender dies is counted too.
    """
    is_pending = Notification.status == NotificationStatus.PENDING
    row = inbox.claim(session, Notification, Notification.id == notification_id, is_pending)
    if row is None:
        return None
    if row.attempts >= MAX_ATTEMPTS:
        _set(
            session,
            row.id,
            status=NotificationStatus.FAILED,
            error=row.error or "The sender died before it could report what happened.",
        )
        return None
    wait = timedelta(seconds=MIN_WAIT * 2**row.attempts)
    now = func.clock_timestamp()
    return _set(session, row.id, status=NotificationStatus.SENDING, attempts=row.attempts + 1, next_try_at=now + wait)


def sent(session: Session, notification_id: UUID) -> None:
    """Mark a notification as sent; changes nothing if it was deleted with its account."""
    row = _locked(session, notification_id)
    if row is not None and row.kind is NotificationKind.ACCOUNT_DELETED:
        session.delete(row)  # the last row with the address
        session.flush()
    elif row is not None:
        _set(session, notification_id, status=NotificationStatus.SENT, sent_at=func.clock_timestamp(), error=None)


def failed(session: Session, notification_id: UUID, reason: str, *, for_good: bool = False) -> None:
    """Record a failed attempt; it is repeated later unless it failed `for_good` or had `MAX_ATTEMPTS`."""
    row = _locked(session, notification_id)
    if row is None or row.status is not NotificationStatus.SENDING:
        return
    is_final = for_good or row.attempts >= MAX_ATTEMPTS
    status = NotificationStatus.FAILED if is_final else NotificationStatus.PENDING
    _set(session, notification_id, status=status, error=reason[:1000])


def due(session: Session, *, limit: int = 200, again: float = 60.0) -> Sequence[UUID]:
    """Notifications to enqueue: those that lost their message, are due again, or whose sender died.

    Marks them as pending for `again` seconds, during which they are not returned again.
    """
    return inbox.take_due(
        session,
        Notification.id,
        Notification.status.in_([NotificationStatus.PENDING, NotificationStatus.SENDING]),
        Notification.next_try_at <= func.now(),
        oldest=Notification.next_try_at,
        limit=limit,
        status=NotificationStatus.PENDING,
        next_try_at=func.now() + timedelta(seconds=again),
    )


def add_device(session: Session, user_id: UUID, token: str) -> None:
    """Register a device for a user only; another user who had registered it is notified."""
    before = session.scalar(select(PushDevice.user_id).where(PushDevice.token == token).with_for_update())
    if before is not None and before != user_id:
        key = f"device-taken:{uuid4()}"
        add(session, before, NotificationKind.DEVICE_TAKEN, {}, key=key, channels=(Channel.EMAIL,))
    row = insert(PushDevice).values(token=token, user_id=user_id)
    session.execute(row.on_conflict_do_update(index_elements=["token"], set_={"user_id": user_id}))


def remove_device(session: Session, token: str) -> None:
    """Remove a device."""
    session.execute(delete(PushDevice).where(PushDevice.token == token))


def forget_device(session: Session, user_id: UUID, token: str) -> None:
    """Remove a device if it is registered for this user."""
    session.execute(delete(PushDevice).where(PushDevice.token == token, PushDevice.user_id == user_id))


def devices(session: Session, user_id: UUID) -> Sequence[str]:
    """The push tokens of a user's devices."""
    return session.scalars(select(PushDevice.token).where(PushDevice.user_id == user_id)).all()


def _locked(session: Session, notification_id: UUID) -> Notification | None:
    row = select(Notification).where(Notification.id == notification_id).with_for_update()
    return session.scalar(row.execution_options(populate_existing=True))


def _set(session: Session, notification_id: UUID, **values: Any) -> Notification:
    changed = update(Notification).where(Notification.id == notification_id).values(**values).returning(Notification)
    return session.scalars(changed, execution_options={"populate_existing": True}).one()
