"""Schemas of users, credits and business analytics for administrators."""

from marshmallow import fields, validate

from api.schemas.base import (
    CREDITS_MAX,
    Credits,
    EnumText,
    Id,
    In,
    Integer,
    JsonObject,
    Number,
    Out,
    PageQuery,
    Query,
    String,
    Time,
    TrimmedString,
)
from api.schemas.billing.credits import BalanceOut, TransactionOut
from api.schemas.billing.subscriptions import CurrentOut
from api.schemas.executions.executions import ExecutionOut
from models.rules.prices.pricing import Tier
from models.rules.values.periods import Grain
from models.tables import CreditType, Role


class UsersQuery(PageQuery):
    """Filters of users: `q` is searched for in addresses, names and ids."""

    q = fields.String(load_default=None, validate=validate.Length(max=254))
    tier = fields.Enum(Tier, by_value=True, load_default=None)
    role = fields.Enum(Role, by_value=True, load_default=None)


class TransactionsQuery(PageQuery):
    """Filters of all users' transactions."""

    user_id = fields.UUID(load_default=None)
    type = fields.Enum(CreditType, by_value=True, load_default=None)
    source = fields.String(load_default=None, validate=validate.Length(max=40))


class AuditQuery(PageQuery):
    """Filters of the audit log: by the user affected, the user who acted, or the action."""

    subject = fields.UUID(load_default=None)
    actor = fields.UUID(load_default=None)
    action = fields.String(load_default=None, validate=validate.Length(max=60))


class AnalyticsQuery(Query):
    """The length of a period."""

    period = fields.Enum(Grain, by_value=True, load_default=Grain.DAY)


class Change(Credits):
    """Credits to add, or to remove if below 0."""

    def __init__(self) -> None:
        super().__init__(required=True)
        self.validators = [validate.Range(min=-CREDITS_MAX, max=CREDITS_MAX)]


class AdjustmentIn(In):
    """A change of a user's balance, and its reason, which the user and the audit log show."""

    amount = Change()
    reason = TrimmedString(500, required=True)


class PersonOut(Out):
    """A user, as administrators see them."""

    id = Id()
    email = String()
    name = String()
    role = EnumText(Role)
    subscription_tier = EnumText(Tier)
    created_at = Time()


class MovementOut(TransactionOut):
    """A change of a user's balance."""

    user_id = Id()
    purchase_id = Id(allow_none=True)


class AuditEntryOut(Out):
    """An entry of the audit log."""

    id = Id()
    at = Time(attribute="created_at")
    actor_id = Id(allow_none=True)
    action = String()
    subject_id = Id(allow_none=True)
    address = String(allow_none=True)
    data = JsonObject(allow_none=True)


class PersonDetailOut(Out):
    """A user with wallet, subscription and the newest entries of each list."""

    user = fields.Nested(PersonOut)
    wallet = fields.Nested(BalanceOut)
    subscription = fields.Nested(CurrentOut)
    executions = fields.List(fields.Nested(ExecutionOut))
    transactions = fields.List(fields.Nested(MovementOut))
    audit = fields.List(fields.Nested(AuditEntryOut))


class FiguresOut(Out):
    """Totals of a period that begins on the day `start`; money in US cents."""

    start = String()
    sign_ups = Integer()
    runs = Integer()
    successful = Integer()
    failed = Integer()
    success_rate = Number(allow_none=True)
    credits_used = Credits()
    credits_sold = Credits()
    pack_revenue_cents = Integer(attribute="pack_cents")
    subscription_revenue_cents = Integer(attribute="subscription_cents")
    returned_cents = Integer()


class GrowthOut(Out):
    """Numbers at the end of a period, and the subscribers lost in it; `churnRate` is 0 to 100, money in US cents."""

    users = Integer()
    subscribers = fields.Dict(keys=fields.String(), values=Integer())
    lost_subscribers = Integer()
    churn_rate = Number(allow_none=True)
    mrr_cents = Integer()


class GrownFiguresOut(FiguresOut):
    """Totals of a period, and the numbers at its end."""

    growth = fields.Nested(GrowthOut)


class BusinessOut(Out):
    """Totals of the business at `countedAt`; rates are 0 to 100 over the last `days` days, money in US cents."""

    counted_at = Time()
    users = Integer(attribute="totals.users")
    active_users = Integer(attribute="totals.active_users")
    new_users = Integer(attribute="totals.new_users")
    subscribers = fields.Dict(keys=fields.String(), values=Integer(), attribute="totals.subscribers")
    mrr_cents = Integer(attribute="totals.mrr_cents")
    arr_cents = Integer(attribute="totals.arr_cents")
    churn_rate = Number(allow_none=True, attribute="totals.churn_rate")
    conversion_rate = Number(allow_none=True, attribute="totals.conversion_rate")
    days = Integer()
    last = fields.Nested(FiguresOut)
