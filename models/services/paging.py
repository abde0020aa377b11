"""Lists of records come newest first, and go on after the last record that the reader has seen."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, tuple_

from models.base import Record

Position = tuple[datetime, UUID]  # `created_at` and `id` of the last record of the page before


def newest_first(
    query: Select[Any], table: type[Record], *, limit: int, offset: int = 0, after: Position | None = None
) -> Select[Any]:
    """One page of `query` over `table`; with `after` no row is passed over to reach it, however far it is."""
    if after:
        query = query.where(tuple_(table.created_at, table.id) < after)
    return query.order_by(table.created_at.desc(), table.id.desc()).limit(limit).offset(offset)
