"""Queries of several services: a page of records, a row of a user, and a lock per user."""

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from models.base import Record
from models.errors import NotFound
from models.rules.prices.pricing import Tier
from models.tables import Invoice, Purchase, StripeRequest, User

T = TypeVar("T", Invoice, Purchase, StripeRequest)
Position = tuple[datetime, UUID]  # `created_at` and `id` of the last record of the previous page


def newest_first(
    query: Select[Any], table: type[Record], *, limit: int, offset: int = 0, after: Position | None = None
) -> Select[Any]:
    """Restrict `query` over `table` to a page; `after` finds any page by the index, without skipping rows."""
    if after:
        query = query.where(tuple_(table.created_at, table.id) < after)
    return query.order_by(table.created_at.desc(), table.id.desc()).limit(limit).offset(offset)


def get_owned(session: Session, kind: type[T], owner: User, row_id: UUID, *, what: str) -> T:
    """The current row of `owner`; raises `NotFound`, also for another user's row, with `what` as the row's name."""
    owned = select(kind).where(kind.id == row_id, kind.user_id == owner.id)
    row = session.scalar(owned.execution_options(populate_existing=True))
    if row is None:
        raise NotFound(what)
    return row


def lock_user(session: Session, user_id: UUID) -> Tier:
    """Lock the user until the transaction ends and return the current tier.

    Inserts of rows that refer to the user, such as runs, are not blocked.
    """
    query = select(User.subscription_tier).where(User.id == user_id).with_for_update(key_share=True)
    return session.execute(query).scalar_one()
