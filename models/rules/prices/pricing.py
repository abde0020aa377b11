"""Prices, tiers, packages and limits, as the API serves them.

Runs are charged, and lost purchases recreated, by the price list that they name. So a list that was in use is never
changed or removed; new prices are a new list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from models.errors import TransientError

UNLIMITED = -1
CENT = Decimal("0.01")
MAX_CREDITS = Decimal("999999999999.99")  # the maximum of the columns


class Tier(StrEnum):
    """The tier of a user, in ascending order."""

    FREE = "free"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


class Priority(StrEnum):
    """The priority of a run, which selects its queue."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Provider(StrEnum):
    """The provider of an `ai_agent` node."""

    OPENCLAW = "openclaw"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"


@dataclass(frozen=True)
class Limits:
    """The limits of a tier; `UNLIMITED` is -1, as in the API."""

    max_workflows: int
    max_nodes: int
    api_calls_per_month: int
    storage_mb: int
    max_pending_runs: int  # queued or waiting at a time
    max_schedules: int  # of all workflows
    min_schedule_seconds: int  # between two times of a schedule


@dataclass(frozen=True)
class TierPlan:
    """A tier with its monthly price in US cents, its limits and its priority."""

    tier: Tier
    price_cents: int
    limits: Limits
    priority: Priority
    concurrent_runs: int  # driven at a time; further runs are deferred
    history_days: int  # for which the history of ended runs is kept; their receipts stay


@dataclass(frozen=True)
class Package:
    """A package of credits for sale; `price_cents` is in US cents."""

    id: str
    credits: int
    bonus: int
    price_cents: int


@dataclass(frozen=True)
class PriceList:
    """The prices of operations in credits, and the packages of credits. Receipts show its name."""

    name: str
    costs: Mapping[str, Decimal]
    packages: Mapping[str, Package]

    @property
    def fee(self) -> Decimal:
        """The credits for a run, without its nodes."""
        return self.costs["workflow_execution"]

    @property
    def least_run(self) -> Decimal:
        """The fewest credits that a run with any node costs."""
        return self.fee + self.costs["node_execution"]

    @property
    def node_base(self) -> Decimal:
        """The credits for a node without its call."""
        return self.costs["node_execution"].quantize(CENT)

    def node(self, provider: Provider | None) -> Decimal:
        """The most credits for a node: for the node itself, and for its call of `provider`, if any."""
        call = self.costs[f"api_call_{provider}"] if provider else Decimal(0)
        return (self.costs["node_execution"] + call).quantize(CENT)


class UnknownPriceList(TransientError):
    """The price list is unknown to this release; a newer one, which introduced it, can continue."""

    code = "unknown_price_list"

    def __init__(self, name: str) -> None:
        super().__init__(f"The price list {name} is not known here.")


PLANS = {
    plan.tier: plan
    for plan in (
        TierPlan(Tier.FREE, 0, Limits(3, 10, 100, 100, 1_000, 3, 900), Priority.LOW, 3, 7),
        TierPlan(Tier.PREMIUM, 999, Limits(UNLIMITED, 50, 10_000, 10_240, 10_000, 50, 300), Priority.NORMAL, 20, 30),
        TierPlan(
            Tier.ENTERPRISE,
            4999,
            Limits(UNLIMITED, UNLIMITED, UNLIMITED, 102_400, 100_000, 500, 60),
            Priority.HIGH,
            100,
            365,
        ),
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
    """The price list with this name; raises `UnknownPriceList`."""
    if name not in PRICE_LISTS:
        raise UnknownPriceList(name)
    return PRICE_LISTS[name]
