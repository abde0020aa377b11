"""What users are told: written in the transaction of what it tells, sent afterwards, at least once.

Whoever sends claims a message first and commits that, so that a crash in the middle counts as an attempt.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.credit import Credit, CreditTransaction, CreditType
from models.notification import Channel, Notification, NotificationKind, NotificationStatus, PushDevice

MOST_ATTEMPTS = 5
FIRST_WAIT = 60.0  # seconds; doubles with every attempt
LOW_BALANCE = Decimal(5)  # credits; fewer than a new account begins with

_DUE = text("""
    UPDATE notifications SET status = 'pending', next_try_at = now() + make_interval(secs => :again)
     WHERE id IN (
        SELECT id FROM notifications
         WHERE status IN ('pending', 'sending') AND next_try_at <= now()
         ORDER BY next_try_at LIMIT :limit
           FOR UPDATE SKIP LOCKED)
 RETURNING id
""")


def add(
    session: Session,
    user_id: UUID,
    kind: NotificationKind,
    payload: Mapping[str, Any],
    *,
    key: str,
    channels: Sequence[Channel] = (Channel.EMAIL, Channel.PUSH),
) -> Sequence[UUID]:
    """Tell a user something once per `key`: by mail, and by push if the user has a phone that takes it.

    Args:
        payload: JSON for the text; ids and amounts, no secrets.
        key: names what is told for good, such as `purchase:<purchase id>`.
        channels: by which it may be told.

    Returns:
        The ids of the new messages, to ring for; empty when it was told before.
    """
    if not session.scalar(select(PushDevice.token).where(PushDevice.user_id == user_id).limit(1)):
        channels = [channel for channel in channels if channel is not Channel.PUSH]
    rows = [
        {"user_id": user_id, "kind": kind, "channel": channel, "payload": dict(payload), "key": key}
        for channel in channels
    ]
    added = insert(Notification).values(rows).on_conflict_do_nothing().returning(Notification.id)
    return session.scalars(added).all()


def low_balance(session: Session, user_id: UUID, *, below: Decimal = LOW_BALANCE) -> Sequence[UUID]:
    """Say once after each time credits came in that fewer than `below` may still be spent, if so."""
    free = session.scalar(select(Credit.balance - Credit.held).where(Credit.user_id == user_id))
    if free is None or free >= below:
        return []
    credited = (CreditTransaction.user_id == user_id, CreditTransaction.type == CreditType.CREDIT)
    last = session.scalar(select(func.max(CreditTransaction.version)).where(*credited))
    payload = {"available": str(free)}
    return add(session, user_id, NotificationKind.LOW_BALANCE, payload, key=f"low-balance:{user_id}:{last or 0}")


def claim(session: Session, notification_id: UUID) -> Notification | None:
    """Take a message to send it, and count the attempt; None when it was sent, is being sent, or was tried enough.

    Commit before sending: that counts an attempt in which the sender dies, too.
    """
    row = session.scalar(
        select(Notification)
        .where(Notification.id == notification_id, Notification.status == NotificationStatus.PENDING)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if row is None:
        return None
    if row.attempts >= MOST_ATTEMPTS:
        _set(session, row.id, status=NotificationStatus.FAILED, error=row.error or "Nobody lived to say what happened.")
        return None
    wait = timedelta(seconds=FIRST_WAIT * 2**row.attempts)
    now = func.clock_timestamp()
    return _set(session, row.id, status=NotificationStatus.SENDING, attempts=row.attempts + 1, next_try_at=now + wait)


def sent(session: Session, notification_id: UUID) -> None:
    """It is on its way."""
    _set(session, notification_id, status=NotificationStatus.SENT, sent_at=func.clock_timestamp(), error=None)


def failed(session: Session, notification_id: UUID, reason: str, *, for_good: bool = False) -> None:
    """It could not be sent: tried again later, a few times, unless it failed `for_good`."""
    row = _locked(session, notification_id)
    if row.status is not NotificationStatus.SENDING:
        return
    over = for_good or row.attempts >= MOST_ATTEMPTS
    status = NotificationStatus.FAILED if over else NotificationStatus.PENDING
    _set(session, notification_id, status=status, error=reason[:1000])


def due(session: Session, *, limit: int = 200, again: float = 60.0) -> Sequence[UUID]:
    """Messages to ring for now: those whose bell was lost, whose wait is over, or whose sender died. Marks them."""
    return session.scalars(_DUE, {"limit": limit, "again": again}).all()


def add_device(session: Session, user_id: UUID, token: str) -> None:
    """Let this phone get push messages of this user, and of nobody else from now on."""
    row = insert(PushDevice).values(token=token, user_id=user_id)
    session.execute(row.on_conflict_do_update(index_elements=["token"], set_={"user_id": user_id}))


def remove_device(session: Session, token: str) -> None:
    """Send nothing to this phone any more."""
    session.execute(delete(PushDevice).where(PushDevice.token == token))


def forget_device(session: Session, user_id: UUID, token: str) -> None:
    """Like `remove_device`, as long as the phone is this user's."""
    session.execute(delete(PushDevice).where(PushDevice.token == token, PushDevice.user_id == user_id))


def devices(session: Session, user_id: UUID) -> Sequence[str]:
    """The tokens of a user's phones."""
    return session.scalars(select(PushDevice.token).where(PushDevice.user_id == user_id)).all()


def _locked(session: Session, notification_id: UUID) -> Notification:
    row = select(Notification).where(Notification.id == notification_id).with_for_update()
    return session.scalars(row.execution_options(populate_existing=True)).one()


def _set(session: Session, notification_id: UUID, **values: Any) -> Notification:
    changed = update(Notification).where(Notification.id == notification_id).values(**values).returning(Notification)
    return session.scalars(changed, execution_options={"populate_existing": True}).one()
