"""Things about money that no rule of ours may decide: written down once, shown to operators until somebody did."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.notification import BillingAlert


def add(
    session: Session,
    *,
    kind: str,
    subject: str,
    detail: str,
    key: str,
    user_id: UUID | None = None,
    data: Any = None,
) -> bool:
    """Raise an alert once per `key`; False when it was raised before.

    Args:
        kind: a word for what is wrong, such as `amount_mismatch`.
        subject: the id of what is wrong, Stripe's or ours.
        detail: a sentence for the operator.
    """
    row = insert(BillingAlert).values(
        kind=kind, subject=subject, detail=detail, key=key[:255], user_id=user_id, data=data
    )
    return session.scalar(row.on_conflict_do_nothing().returning(BillingAlert.id)) is not None


def list_open(session: Session, *, limit: int = 100) -> Sequence[BillingAlert]:
    """What nobody has resolved yet, the oldest first."""
    unresolved = select(BillingAlert).where(BillingAlert.resolved_at.is_(None))
    return session.scalars(unresolved.order_by(BillingAlert.created_at, BillingAlert.id).limit(limit)).all()


def count_open(session: Session) -> int:
    """How many there are, for the metric."""
    return session.execute(select(func.count()).where(BillingAlert.resolved_at.is_(None))).scalar_one()


def resolve(session: Session, alert_id: UUID) -> None:
    """Close an alert; a repeat changes nothing. Raises `NotFound`."""
    done = update(BillingAlert).where(BillingAlert.id == alert_id).returning(BillingAlert.id)
    now = func.coalesce(BillingAlert.resolved_at, func.now())
    if session.scalar(done.values(resolved_at=now).execution_options(synchronize_session=False)) is None:
        raise NotFound("alert")
