"""Schemas of a workflow's metrics."""

from marshmallow import fields

from api.schemas.base import Credits, EnumText, Id, Integer, Number, Out, Query, String, Time
from models.rules.values.periods import TimeRange


class MetricsQuery(Query):
    """The time range of the metrics."""

    time_range = fields.Enum(TimeRange, by_value=True, load_default=TimeRange.DAY)


class TallyOut(Out):
    """One interval of the metrics."""

    start = Time()
    executions = Integer()
    successful = Integer()
    failed = Integer()
    cancelled = Integer()
    average_duration = Number(attribute="average", allow_none=True)
    credits_used = Credits()


class FailureOut(Out):
    """A reason for failed runs, and their number."""

    code = String()
    node_id = String(allow_none=True)
    message = String()
    count = Integer()
    last_at = Time()


class MetricsOut(Out):
    """Metrics of a workflow's runs in a time range; durations in seconds, `successRate` 0 to 100."""

    workflow_id = Id()
    time_range = EnumText(TimeRange)
    since = Time(data_key="from")
    until = Time(data_key="to")
    total_executions = Integer(attribute="total.executions")
    successful_executions = Integer(attribute="total.successful")
    failed_executions = Integer(attribute="total.failed")
    cancelled_executions = Integer(attribute="total.cancelled")
    active_executions = Integer(attribute="total.active")
    success_rate = Number(attribute="total.success_rate", allow_none=True)
    average_duration = Number(attribute="total.average", allow_none=True)
    p50_duration = Number(attribute="total.p50", allow_none=True)
    p95_duration = Number(attribute="total.p95", allow_none=True)
    nodes_executed = Integer(attribute="total.nodes_executed")
    credits_used = Credits(attribute="total.credits_used")
    series = fields.List(fields.Nested(TallyOut))
    failures = fields.List(fields.Nested(FailureOut))
