"""Rows that are work to do: workers claim them, and a sweep enqueues those that lost their message or worker.

Both skip rows that another transaction locks, so that workers neither repeat work nor wait for each other.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, any_, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.base import Base

Row = TypeVar("Row", bound=Base)
Id = TypeVar("Id")


def claim(session: Session, kind: type[Row], *conditions: ColumnElement[bool]) -> Row | None:
    """The current row that meets `conditions`, locked until the transaction ends; None if another one holds it."""
    query = select(kind).where(*conditions).with_for_update(skip_locked=True)
    return session.scalar(query.execution_options(populate_existing=True))


def take_due(
    session: Session,
    ids: InstrumentedAttribute[Id],
    *conditions: ColumnElement[bool],
    oldest: InstrumentedAttribute[Any],
    limit: int,
    **mark: Any,
) -> Sequence[Id]:
    """Mark the first rows by `oldest` that meet `conditions`, and return their ids, for enqueueing.

    Args:
        session: the session of the transaction.
        ids: the column with the ids.
        conditions: which rows are due. They must not hold for marked rows, or the next sweep enqueues them again.
        oldest: the column to sort by.
        limit: how many rows at most.
        mark: the columns to set.
    """
    due = select(ids).where(*conditions).order_by(oldest).limit(limit).with_for_update(skip_locked=True)
    once = any_(func.array(due.scalar_subquery()))  # with `IN` the limit may be applied again for every row
    marked = update(ids.class_).where(ids == once).values(**mark).returning(ids)
    return session.scalars(marked.execution_options(synchronize_session=False)).all()
