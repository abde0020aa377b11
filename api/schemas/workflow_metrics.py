"""How a workflow's runs went, as charts show it."""

from marshmallow import fields

from api.schemas.base import Count, Credits, Id, Number, Out, Query, Text, Time, Word
from models.rules.periods import TimeRange


class MetricsQuery(Query):
    """How far back to look."""

    time_range = fields.Enum(TimeRange, by_value=True, load_default=TimeRange.DAY)


class TallyOut(Out):
    """One bar of the chart."""

    start = Time()
    executions = Count()
    successful = Count()
    failed = Count()
    cancelled = Count()
    average_duration = Number(attribute="average", allow_none=True)
    credits_used = Credits()


class FailureOut(Out):
    """One reason for which runs failed, and how many."""

    code = Text()
    node_id = Text(allow_none=True)
    message = Text()
    count = Count()
    last_at = Time()


class MetricsOut(Out):
    """A workflow's runs of a time range; durations in seconds, `successRate` 0 to 100."""

    workflow_id = Id()
    time_range = Word(TimeRange)
    since = Time(data_key="from")
    until = Time(data_key="to")
    total_executions = Count(attribute="total.executions")
    successful_executions = Count(attribute="total.successful")
    failed_executions = Count(attribute="total.failed")
    cancelled_executions = Count(attribute="total.cancelled")
    active_executions = Count(attribute="total.active")
    success_rate = Number(attribute="total.success_rate", allow_none=True)
    average_duration = Number(attribute="total.average", allow_none=True)
    p50_duration = Number(attribute="total.p50", allow_none=True)
    p95_duration = Number(attribute="total.p95", allow_none=True)
    nodes_executed = Count(attribute="total.nodes_executed")
    credits_used = Credits(attribute="total.credits_used")
    series = fields.List(fields.Nested(TallyOut))
    failures = fields.List(fields.Nested(FailureOut))
