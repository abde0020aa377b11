"""What is shown of a wallet and of prices."""

from marshmallow import fields

from api.schemas.base import Count, Credits, Id, Number, Out, Text, Time, Word
from models.credit import CreditType
from models.rules.pricing import Package


class BalanceOut(Out):
    """A wallet: what may be spent is `available`."""

    balance = Credits()
    held = Credits()
    available = Credits()
    last_updated = Time()


class TransactionOut(Out):
    """One change of a balance."""

    id = Id()
    type = Word(CreditType)
    amount = Credits()
    reason = Text()
    source = Text()
    balance_after = Credits()
    execution_id = Id(allow_none=True)
    created_at = Time()


class CostsOut(Out):
    """What each operation costs, and the name of the price list."""

    costs = fields.Dict(keys=fields.String(), values=Credits())
    price_list = Text()


class PackageOut(Out):
    """Credits for money; `price` in dollars, `priceCents` in cents."""

    id = Text()
    credits = Count()
    bonus = Count()
    price_cents = Count()
    price = fields.Function(lambda package: dollars(package), metadata=Number.shape)
    currency = fields.Constant("USD", metadata=Text.shape)


def dollars(package: Package) -> float:
    """A package's price in dollars."""
    return package.price_cents / 100
