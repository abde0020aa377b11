"""Prices, tiers, packages and limits: the one place where they are written down, served by the API.

A run is paid, and a lost purchase written down again, by the price list that it names. So a list that was in force is
never changed or removed: other prices are another list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from models.errors import TransientError

UNLIMITED = -1
CENT = Decimal("0.01")
MOST_CREDITS = Decimal("999999999999.99")  # what the database holds; more than anybody has


class Tier(StrEnum):
    """What a user pays for."""

    FREE = "free"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


class Priority(StrEnum):
    """Which queue a run waits in."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Provider(StrEnum):
    """Who answers an `ai_agent` node."""

    OPENCLAW = "openclaw"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"


@dataclass(frozen=True)
class Limits:
    """What a tier allows; `UNLIMITED` is -1, as on the wire."""

    max_workflows: int
    max_nodes: int
    api_calls_per_month: int
    storage_mb: int


@dataclass(frozen=True)
class Plan:
    """One tier: its monthly price in US cents, its limits and its place in the queue."""

    tier: Tier
    price_cents: int
    limits: Limits
    priority: Priority
    concurrent_runs: int  # driven at a time; more of them wait in the queue
    history_days: int  # for which ended runs are kept; their receipts stay


@dataclass(frozen=True)
class Package:
    """Credits for money; `price_cents` in US cents."""

    id: str
    credits: int
    bonus: int
    price_cents: int


@dataclass(frozen=True)
class PriceList:
    """What operations cost in credits, and packages of credits in money. Receipts show its name."""

    name: str
    costs: Mapping[str, Decimal]
    packages: Mapping[str, Package]

    @property
    def fee(self) -> Decimal:
        """Credits for a run itself."""
        return self.costs["workflow_execution"]

    @property
    def least_run(self) -> Decimal:
        """No run that does something costs less."""
        return self.fee + self.costs["node_execution"]

    def node(self, provider: Provider | None) -> Decimal:
        """Credits for one node that ran: the node itself, and its provider call when it makes one."""
        call = self.costs[f"api_call_{provider}"] if provider else Decimal(0)
        return (self.costs["node_execution"] + call).quantize(CENT)


class UnknownPriceList(TransientError):
    """A newer release sold by it, or this one lost it: who knows it goes on."""

    code = "unknown_price_list"

    def __init__(self, name: str) -> None:
        super().__init__(f"The price list {name} is not known here.")


PLANS = {
    plan.tier: plan
    for plan in (
        Plan(Tier.FREE, 0, Limits(3, 10, 100, 100), Priority.LOW, 3, 7),
        Plan(Tier.PREMIUM, 999, Limits(UNLIMITED, 50, 10_000, 10_240), Priority.NORMAL, 20, 30),
        Plan(Tier.ENTERPRISE, 4999, Limits(UNLIMITED, UNLIMITED, UNLIMITED, 102_400), Priority.HIGH, 100, 365),
    )
}

PRICE_LISTS = {
    prices.name: prices
    for prices in (
        PriceList(
            "2026-11",
            costs={
                "workflow_execution": Decimal("1"),
                "node_execution": Decimal("0.1"),
                "api_call_openai": Decimal("2"),
                "api_call_anthropic": Decimal("3"),
                "api_call_google": Decimal("2"),
                "api_call_openclaw": Decimal("1"),
                "storage_mb": Decimal("0.01"),
            },
            packages={
                package.id: package
                for package in (
                    Package("pack_100", 100, 0, 999),
                    Package("pack_500", 500, 50, 3999),
                    Package("pack_1000", 1000, 150, 6999),
                    Package("pack_5000", 5000, 1000, 29999),
                )
            },
        ),
    )
}

CURRENT = PRICE_LISTS["2026-11"]
PRICE_LIST, COSTS, PACKAGES = CURRENT.name, CURRENT.costs, CURRENT.packages


def price_list(name: str) -> PriceList:
    """The prices that a run names; raises `UnknownPriceList`."""
    if name not in PRICE_LISTS:
        raise UnknownPriceList(name)
    return PRICE_LISTS[name]
