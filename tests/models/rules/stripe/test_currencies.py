from decimal import Decimal

import pytest

from models.rules.stripe.currencies import whole_units, written


@pytest.mark.parametrize(
    ("amount", "currency", "whole", "text"),
    [
        (999, "usd", "9.99", "9.99 USD"),
        (-250, "EUR", "-2.50", "-2.50 EUR"),
        (1500, "jpy", "1500", "1500 JPY"),
        (0, "KRW", "0", "0 KRW"),
        (5120, "kwd", "5.120", "5.120 KWD"),
        (500, "isk", "5.00", "5.00 ISK"),
        (500, "ugx", "5.00", "5.00 UGX"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(amount: int, currency: str, whole: str, text: str) -> None:
    assert str(whole_units(amount, currency)) == whole
    assert whole_units(amount, currency) == Decimal(whole)
    assert written(amount, currency) == text
