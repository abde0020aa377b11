"""Queries of lists of executions, of their logs and of their receipts."""

from typing import Any

from marshmallow import fields, validate

from api.schemas.base import NOT_NEGATIVE, Ids, Limit, Moment, PageQuery, Query, QueryInteger
from api.schemas.workflows.tags import Tag
from models.rules.executions.states import ExecutionStatus


class QueryBoolean(fields.Boolean):
    """`true` or `false` in a query string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(truthy={"true"}, falsy={"false"}, **kwargs)


class FilteredRunsQuery(PageQuery):
    """Filters of runs: `query` is the beginnings of words, all of which are in error, tags or the workflow's name.

    `trial` is `true` for trials of single nodes only, `false` for all other runs.

    `from` and `to` limit the time of submission, without `to` itself.
    """

    status = fields.Enum(ExecutionStatus, by_value=True, load_default=None)
    query = fields.String(load_default=None, validate=validate.Length(max=200))
    tag = Tag(load_default=None)
    trial = QueryBoolean(load_default=None)
    since = Moment(data_key="from", load_default=None)
    until = Moment(data_key="to", load_default=None)


class ExecutionsQuery(FilteredRunsQuery):
    """Filters of runs."""

    ids = Ids(load_default=None)
    parent_execution_id = fields.UUID(load_default=None)
    schedule_id = fields.UUID(load_default=None)


class LogsQuery(Query):
    """Filters of a run's log: entries after `after`, oldest first."""

    limit = Limit(maximum=1000, usual=100)
    after = QueryInteger(validate=NOT_NEGATIVE, load_default=0)


class ReceiptLinesQuery(PageQuery):
    """Paging of a receipt's lines."""

    limit = Limit(maximum=1000)
