"""Schemas of reported usage and of statistics."""

from datetime import UTC
from typing import Any

from marshmallow import ValidationError, fields, validate

from api.schemas.base import CREDITS_MAX, AppIn, Boolean, Credits, EnumText, Integer, Number, Out, Query, Time
from models.rules.prices.pricing import COSTS
from models.rules.values.periods import Period
from models.rules.values.zones import UnknownTimeZone, time_zone


class Amount(fields.Decimal):
    """A number of units with any number of decimals, because the app sends sums of floats."""

    shape = Number.shape

    def __init__(self, **kwargs: Any) -> None:
        bounds = validate.Range(min=0, max=CREDITS_MAX)
        super().__init__(allow_nan=False, validate=bounds, error_messages={"text": "Must be a number."}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            raise self.make_error("text")
        return super()._deserialize(value, attr, data, **kwargs)


class TimeZone(fields.String):
    """The name of a time zone in a query string, as the zone itself."""

    def __init__(self, **kwargs: Any) -> None:
        words = "The hours, days and months are those of this time zone of the IANA database, such as Europe/Oslo."
        super().__init__(metadata={"description": words}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return time_zone(super()._deserialize(value, attr, data, **kwargs))
        except UnknownTimeZone as unknown:
            raise ValidationError(str(unknown)) from unknown


class UsageIn(AppIn):
    """Units of an operation of the price list; `workflowId` may name a workflow that exists only on the device."""

    workflow_id = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=64))
    resource_type = fields.String(required=True, validate=validate.OneOf(COSTS))
    amount = Amount(required=True)


class ChargeOut(Out):
    """The credits charged, and the balance afterwards."""

    success = Boolean()
    credits_charged = Credits()
    remaining_balance = Credits()


class StatsQuery(Query):
    """The period of the statistics, and the time zone of its days."""

    period = fields.Enum(
        Period,
        by_value=True,
        load_default=Period.MONTH,
        metadata={"description": "`month` is 30 days, `this_month` the calendar month so far."},
    )
    time_zone = TimeZone(load_default=UTC)


class BarOut(Out):
    """One interval of the statistics."""

    start = Time()
    executions = Integer()
    successful = Integer()
    failed = Integer()
    credits_used = Credits()
    credits_added = Credits()


class QuotasOut(Out):
    """Usage and limits of the tier: API calls this month, and storage; -1 is unlimited, a MB is a million bytes."""

    api_calls_used = Integer()
    api_calls_limit = Integer()
    api_calls_reset_at = Time()
    storage_used_mb = Number(data_key="storageUsedMB")
    storage_limit_mb = Integer(data_key="storageLimitMB")


class StatsOut(Out):
    """Statistics of runs and credits in a period; `successRate` is 0 to 100, `averageDuration` in seconds."""

    period = EnumText(Period)
    since = Time(data_key="from")
    until = Time(data_key="to")
    total_executions = Integer()
    successful_executions = Integer()
    failed_executions = Integer()
    cancelled_executions = Integer()
    nodes_executed = Integer()
    success_rate = Number(allow_none=True)
    average_duration = Number(allow_none=True)
    credits_used = Credits()
    credits_added = Credits()
    credits_by_source = fields.Dict(keys=fields.String(), values=Credits())
    series = fields.List(fields.Nested(BarOut))
    allowances = fields.Nested(QuotasOut)
