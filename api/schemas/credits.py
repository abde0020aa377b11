"""What is shown of a wallet and of prices."""

from marshmallow import fields

from api.schemas.base import Credits, Out, Plain
from models.rules.pricing import Package


class BalanceOut(Out):
    """A wallet: what may be spent is `available`."""

    balance = Credits()
    held = Credits()
    available = Credits()
    last_updated = Plain()


class TransactionOut(Out):
    """One change of a balance."""

    id = Plain()
    type = Plain()
    amount = Credits()
    reason = Plain()
    source = Plain()
    balance_after = Credits()
    execution_id = Plain()
    created_at = Plain()


class PackageOut(Out):
    """Credits for money; `price` in dollars, `priceCents` in cents."""

    id = Plain()
    credits = Plain()
    bonus = Plain()
    price_cents = Plain()
    price = fields.Function(lambda package: dollars(package))
    currency = fields.Constant("USD")


def dollars(package: Package) -> float:
    """A package's price in dollars."""
    return package.price_cents / 100
