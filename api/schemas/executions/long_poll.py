"""Queries of long polls and event streams."""

from typing import Any

from marshmallow import fields

from api.schemas.base import NOT_NEGATIVE, Query, QueryInteger
from api.schemas.executions.queries import ExecutionsQuery

MAX_SECONDS = 30  # of a long poll; proxies and phones cut longer ones


class WaitSeconds(QueryInteger):
    """Seconds to wait for a change; more than `MAX_SECONDS` count as that."""

    def __init__(self) -> None:
        super().__init__(validate=NOT_NEGATIVE, load_default=0)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return min(super()._deserialize(value, attr, data, **kwargs), MAX_SECONDS)


class ExecutionListQuery(ExecutionsQuery):
    """Filters of runs, and the seconds to wait for a change of one of `ids` (more than 30 count as 30)."""

    workflow_id = fields.UUID(load_default=None)
    wait = WaitSeconds()


class ExecutionQuery(Query):
    """The seconds to wait for a change (more than 30 count as 30), and the `seq` after which events are new."""

    wait = WaitSeconds()
    since = QueryInteger(validate=NOT_NEGATIVE, load_default=None)


class EventsQuery(Query):
    """The `seq` of the last event that was seen."""

    after = QueryInteger(validate=NOT_NEGATIVE, load_default=None)
