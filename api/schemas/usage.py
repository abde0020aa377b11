"""Usage as clients report it, and statistics as charts show them."""

from typing import Any

from marshmallow import fields, validate

from api.schemas.base import CREDITS_MAX, Count, Credits, In, Number, Out, Query, Time, Truth, Word
from models.rules.periods import Period
from models.rules.pricing import COSTS


class Amount(fields.Decimal):
    """A number of units, more than 0; phones send sums of floats, so it may have any number of decimals."""

    shape = Number.shape

    def __init__(self, **kwargs: Any) -> None:
        bounds = validate.Range(min=0, min_inclusive=False, max=CREDITS_MAX)
        super().__init__(allow_nan=False, validate=bounds, error_messages={"text": "Must be a number."}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            raise self.make_error("text")
        return super()._deserialize(value, attr, data, **kwargs)


class UsageIn(In):
    """So many units of an operation of the price list, for one of the caller's workflows."""

    workflow_id = fields.UUID(required=True)
    resource_type = fields.String(required=True, validate=validate.OneOf(COSTS))
    amount = Amount(required=True)


class ChargeOut(Out):
    """What it cost, and the balance after it."""

    success = Truth()
    credits_charged = Credits()
    remaining_balance = Credits()


class StatsQuery(Query):
    """How far back to look."""

    period = fields.Enum(Period, by_value=True, load_default=Period.MONTH)


class BarOut(Out):
    """One bar of the chart."""

    start = Time()
    executions = Count()
    successful = Count()
    failed = Count()
    credits_used = Credits()
    credits_added = Credits()


class AllowancesOut(Out):
    """What of the tier's calls this month and storage is used; -1 is unlimited, MB are a million bytes."""

    api_calls_used = Count()
    api_calls_limit = Count()
    api_calls_reset_at = Time()
    storage_used_mb = Number(data_key="storageUsedMB")
    storage_limit_mb = Count(data_key="storageLimitMB")


class StatsOut(Out):
    """Runs and credits of a period; `successRate` is 0 to 100, `averageDuration` in seconds."""

    period = Word(Period)
    since = Time(data_key="from")
    until = Time(data_key="to")
    total_executions = Count()
    successful_executions = Count()
    failed_executions = Count()
    cancelled_executions = Count()
    nodes_executed = Count()
    success_rate = Number(allow_none=True)
    average_duration = Number(allow_none=True)
    credits_used = Credits()
    credits_added = Credits()
    credits_by_source = fields.Dict(keys=fields.String(), values=Credits())
    series = fields.List(fields.Nested(BarOut))
    allowances = fields.Nested(AllowancesOut)
