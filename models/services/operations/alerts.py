"""Billing alerts: problems that a person has to decide, raised once and shown to operators until they are resolved."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.tables import BillingAlert


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
    """Raise an alert once per `key`; returns False if it was raised before.

    Args:
        session: the session of the transaction.
        kind: the kind of problem, such as `amount_mismatch`.
        subject: the id of the object, Stripe's or ours.
        detail: a sentence for the operator.
        key: a permanent key of the problem.
        user_id: the user concerned, if any.
        data: further details as JSON.
    """
    row = insert(BillingAlert).values(
        kind=kind, subject=subject, detail=detail, key=key[:255], user_id=user_id, data=data
    )
    return session.scalar(row.on_conflict_do_nothing().returning(BillingAlert.id)) is not None


def list_open(session: Session, *, limit: int = 100, offset: int = 0) -> Sequence[BillingAlert]:
    """A page of open alerts, oldest first."""
    unresolved = select(BillingAlert).where(BillingAlert.resolved_at.is_(None))
    ordered = unresolved.order_by(BillingAlert.created_at, BillingAlert.id)
    return session.scalars(ordered.limit(limit).offset(offset)).all()


def count_open(session: Session) -> int:
    """The number of open alerts, for metrics."""
    return session.execute(select(func.count()).where(BillingAlert.resolved_at.is_(None))).scalar_one()


def resolve(session: Session, alert_id: UUID) -> tuple[BillingAlert, bool]:
    """Close an alert; returns it, and False if it was closed before. Raises `NotFound`."""
    alert = session.get(BillingAlert, alert_id, with_for_update=True, populate_existing=True)
    if alert is None:
        raise NotFound("alert")
    was_open = alert.resolved_at is None
    if was_open:
        alert.resolved_at = func.now()
        session.flush()
        session.refresh(alert)
    return alert, was_open
