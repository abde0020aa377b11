"""Price lists: what was in force stays as it was, because runs and purchases name it."""

from decimal import Decimal

import pytest

from models.rules.prices.pricing import CURRENT, PRICE_LISTS, Provider, UnknownPriceList, price_list

IN_FORCE = {
    "2026-11": (
        "workflow_execution 1, node_execution 0.1, api_call_openai 2, api_call_anthropic 3, api_call_google 2,"
        " api_call_openclaw 1, storage_mb 0.01",
        "pack_100 100+0 999, pack_500 500+50 3999, pack_1000 1000+150 6999, pack_5000 5000+1000 29999",
    )
}


def test_a_list_that_was_in_force_never_changes():
    written = {
        name: (
            ", ".join(f"{operation} {cost}" for operation, cost in prices.costs.items()),
            ", ".join(f"{pack.id} {pack.credits}+{pack.bonus} {pack.price_cents}" for pack in prices.packages.values()),
        )
        for name, prices in PRICE_LISTS.items()
    }
    assert written == IN_FORCE
    assert CURRENT is PRICE_LISTS[max(IN_FORCE)]


def test_a_node_costs_itself_and_its_call():
    costs = [CURRENT.node(provider) for provider in (None, Provider.OPENCLAW, Provider.ANTHROPIC)]
    assert costs == [Decimal("0.10"), Decimal("1.10"), Decimal("3.10")]
    assert CURRENT.least_run == Decimal("1.1")


def test_an_unknown_list_is_an_error():
    with pytest.raises(UnknownPriceList):
        price_list("1999-01")
