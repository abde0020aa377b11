"""Schemas of wallets and prices."""

from marshmallow import fields

from api.schemas.base import Credits, EnumText, Id, Integer, Number, Out, String, Time
from models.rules.prices.pricing import Package
from models.tables import CreditType


class BalanceOut(Out):
    """A wallet; `available` is the balance without the held credits."""

    balance = Credits()
    held = Credits()
    available = Credits()
    last_updated = Time()


class TransactionOut(Out):
    """A change of the balance."""

    id = Id()
    type = EnumText(CreditType)
    amount = Credits()
    reason = String()
    source = String()
    balance_after = Credits()
    execution_id = Id(allow_none=True)
    workflow_id = String(attribute="reported_workflow", allow_none=True)
    created_at = Time()


class CostsOut(Out):
    """The price of each operation, the name of the price list, and the rules by which a run is charged, as text."""

    costs = fields.Dict(keys=fields.String(), values=Credits())
    price_list = String()
    rules = fields.List(String())


class PackageOut(Out):
    """A package of credits; `price` in dollars, `priceCents` in cents."""

    id = String()
    credits = Integer()
    bonus = Integer()
    price_cents = Integer()
    price = fields.Function(lambda package: dollars(package), metadata=Number.shape)
    currency = fields.Constant("USD", metadata=String.shape)


def dollars(package: Package) -> float:
    """A package's price in dollars."""
    return package.price_cents / 100
