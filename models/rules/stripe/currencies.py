"""Conversion of amounts in the smallest unit of their currency, which Stripe uses, to whole units.

Source: Stripe's list of currencies. ISK and UGX have no decimals any more, but Stripe still counts them in hundredths.
"""

from decimal import Decimal

WITHOUT_DECIMALS = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
WITH_THREE_DECIMALS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def decimals(currency: str) -> int:
    """The number of decimals of a currency, such as 2 for cents."""
    known = currency.lower()
    return 0 if known in WITHOUT_DECIMALS else 3 if known in WITH_THREE_DECIMALS else 2


def whole_units(amount: int, currency: str) -> Decimal:
    """Convert an amount in the smallest unit to whole units: 999 usd are 9.99."""
    return Decimal(amount).scaleb(-decimals(currency))


def written(amount: int, currency: str) -> str:
    """Format an amount in the smallest unit: `9.99 USD`, `1500 JPY`."""
    return f"{whole_units(amount, currency):f} {currency.upper()}"
