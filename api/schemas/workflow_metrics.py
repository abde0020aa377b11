"""How a workflow's runs went, as charts show it."""

from marshmallow import fields

from api.schemas.base import Credits, Out, Plain, Query
from models.rules.periods import TimeRange


class MetricsQuery(Query):
    """How far back to look."""

    time_range = fields.Enum(TimeRange, by_value=True, load_default=TimeRange.DAY)


class TallyOut(Out):
    """One bar of the chart."""

    start = Plain()
    executions = Plain()
    successful = Plain()
    failed = Plain()
    cancelled = Plain()
    average_duration = Plain(attribute="average")
    credits_used = Credits()


class FailureOut(Out):
    """One reason for which runs failed, and how many."""

    code = Plain()
    node_id = Plain()
    message = Plain()
    count = Plain()
    last_at = Plain()


class MetricsOut(Out):
    """A workflow's runs of a time range; durations in seconds, `successRate` 0 to 100."""

    workflow_id = Plain()
    time_range = Plain()
    since = Plain(data_key="from")
    until = Plain(data_key="to")
    total_executions = Plain(attribute="total.executions")
    successful_executions = Plain(attribute="total.successful")
    failed_executions = Plain(attribute="total.failed")
    cancelled_executions = Plain(attribute="total.cancelled")
    active_executions = Plain(attribute="total.active")
    success_rate = Plain(attribute="total.success_rate")
    average_duration = Plain(attribute="total.average")
    p50_duration = Plain(attribute="total.p50")
    p95_duration = Plain(attribute="total.p95")
    nodes_executed = Plain(attribute="total.nodes_executed")
    credits_used = Credits(attribute="total.credits_used")
    series = fields.List(fields.Nested(TallyOut))
    failures = fields.List(fields.Nested(FailureOut))
