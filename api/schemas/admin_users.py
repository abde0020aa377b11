"""What administrators ask for of users and the business, and are shown."""

from marshmallow import fields, validate

from api.schemas.base import (
    CREDITS_MAX,
    Count,
    Credits,
    Id,
    In,
    Line,
    Number,
    Out,
    PageQuery,
    Query,
    Text,
    Thing,
    Time,
    Word,
)
from api.schemas.credits import BalanceOut, TransactionOut
from api.schemas.executions import ExecutionOut
from api.schemas.subscriptions import CurrentOut
from models.credit import CreditType
from models.rules.periods import Grain
from models.rules.pricing import Tier
from models.user import Role


class UsersQuery(PageQuery):
    """Which users: `q` is looked for in addresses, names and ids."""

    q = fields.String(load_default=None, validate=validate.Length(max=254))
    tier = fields.Enum(Tier, by_value=True, load_default=None)
    role = fields.Enum(Role, by_value=True, load_default=None)


class TransactionsQuery(PageQuery):
    """Which transactions of everybody's."""

    user_id = fields.UUID(load_default=None)
    type = fields.Enum(CreditType, by_value=True, load_default=None)
    source = fields.String(load_default=None, validate=validate.Length(max=40))


class AuditQuery(PageQuery):
    """Which lines of the audit log: about whom, by whom, of what."""

    subject = fields.UUID(load_default=None)
    actor = fields.UUID(load_default=None)
    action = fields.String(load_default=None, validate=validate.Length(max=60))


class AnalyticsQuery(Query):
    """How wide a bar is."""

    period = fields.Enum(Grain, by_value=True, load_default=Grain.DAY)


class Change(Credits):
    """Credits to give, or below 0 to take."""

    def __init__(self) -> None:
        super().__init__(required=True)
        self.validators = [validate.Range(min=-CREDITS_MAX, max=CREDITS_MAX)]


class AdjustmentIn(In):
    """A change of somebody's balance, and the sentence that they and the log are told."""

    amount = Change()
    reason = Line(500, required=True)


class PersonOut(Out):
    """A user, as administrators see them."""

    id = Id()
    email = Text()
    name = Text()
    role = Word(Role)
    subscription_tier = Word(Tier)
    created_at = Time()


class MovementOut(TransactionOut):
    """A change of somebody's balance."""

    user_id = Id()
    purchase_id = Id(allow_none=True)


class DeedOut(Out):
    """Who did what to whom, when and from where."""

    id = Id()
    at = Time(attribute="created_at")
    actor_id = Id(allow_none=True)
    action = Text()
    subject_id = Id(allow_none=True)
    address = Text(allow_none=True)
    data = Thing(allow_none=True)


class PersonDetailOut(Out):
    """All that is known of a user at a glance; the lists are the newest few."""

    user = fields.Nested(PersonOut)
    wallet = fields.Nested(BalanceOut)
    subscription = fields.Nested(CurrentOut)
    executions = fields.List(fields.Nested(ExecutionOut))
    transactions = fields.List(fields.Nested(MovementOut))
    audit = fields.List(fields.Nested(DeedOut))


class FiguresOut(Out):
    """What a span of days came to; money in US cents."""

    start = Text()
    sign_ups = Count()
    runs = Count()
    successful = Count()
    failed = Count()
    success_rate = Number(allow_none=True)
    credits_used = Credits()
    credits_sold = Credits()
    pack_revenue_cents = Count(attribute="pack_cents")
    subscription_revenue_cents = Count(attribute="subscription_cents")
    returned_cents = Count()


class BusinessOut(Out):
    """Where the business stood at `countedAt`; rates are 0 to 100 over the last `days`, money in US cents."""

    counted_at = Time()
    users = Count(attribute="standing.users")
    active_users = Count(attribute="standing.active_users")
    new_users = Count(attribute="standing.new_users")
    subscribers = fields.Dict(keys=fields.String(), values=Count(), attribute="standing.subscribers")
    mrr_cents = Count(attribute="standing.mrr_cents")
    arr_cents = Count(attribute="standing.arr_cents")
    churn_rate = Number(allow_none=True, attribute="standing.churn_rate")
    conversion_rate = Number(allow_none=True, attribute="standing.conversion_rate")
    days = Count()
    last = fields.Nested(FiguresOut)
