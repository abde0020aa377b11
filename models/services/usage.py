"""Usage that clients report, and what a user's runs and credits add up to over time.

Reported usage is paid from what no run holds, in one statement with its line in the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.errors import FieldError, InsufficientCredits, InvalidInput
from models.rules.periods import BARS, Period, bars
from models.rules.pricing import CENT, COSTS, MOST_CREDITS
from models.services import credits, workflows
from models.user import User

SOURCE = "usage"

_SPEND = text("""
    WITH moved AS (
        UPDATE credits SET balance = balance - :amount, version = version + 1, updated_at = now()
         WHERE user_id = :user AND balance - held >= :amount
     RETURNING user_id, version, balance
    ), told AS (
        INSERT INTO credit_transactions (user_id, version, key, type, amount, balance_after, reason, source)
        SELECT user_id, version, :key, 'debit', :amount, balance, :reason, :source FROM moved
    )
    SELECT balance FROM moved
""")

_RUNS = text("""
    SELECT date_trunc(:unit, created_at) AS start,
           count(*) AS total,
           count(*) FILTER (WHERE status = 'success') AS successful,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
           coalesce(sum(nodes_executed), 0) AS nodes,
           count(finished_at - started_at) AS timed,
           coalesce(extract(epoch FROM sum(finished_at - started_at)), 0) AS seconds
      FROM counted_runs
     WHERE user_id = :user AND created_at >= :since
     GROUP BY 1
""")

_MOVES = text("""
    SELECT date_trunc(:unit, created_at) AS start, source,
           coalesce(sum(amount) FILTER (WHERE type = 'debit'), 0) AS used,
           coalesce(sum(amount) FILTER (WHERE type = 'credit'), 0) AS added
      FROM credit_transactions
     WHERE user_id = :user AND created_at >= :since
     GROUP BY 1, 2
""")


@dataclass(frozen=True)
class Charge:
    """What reported usage cost, and the balance after it, in credits."""

    credits_charged: Decimal
    remaining_balance: Decimal
    success: bool = True


@dataclass
class Bar:
    """One bar of a chart: what was submitted, and which credits moved, from `start` until the next bar's start."""

    start: datetime
    executions: int = 0
    successful: int = 0
    failed: int = 0
    credits_used: Decimal = Decimal(0)
    credits_added: Decimal = Decimal(0)


@dataclass
class Stats:
    """What a user's runs and credits add up to since the first bar's start. `success_rate` is 0 to 100."""

    period: Period
    since: datetime
    until: datetime
    total_executions: int = 0
    successful_executions: int = 0
    failed_executions: int = 0
    cancelled_executions: int = 0
    nodes_executed: int = 0
    success_rate: float | None = None  # of the runs that are over; None when none is
    average_duration: float | None = None  # seconds
    credits_used: Decimal = Decimal(0)
    credits_added: Decimal = Decimal(0)
    credits_by_source: dict[str, Decimal] = field(default_factory=dict)  # what was used, by what it was used for
    series: list[Bar] = field(default_factory=list)


def track(session: Session, owner: User, *, workflow_id: UUID, resource_type: str, amount: Decimal) -> Charge:
    """Charge `amount` units of an operation of the price list; parts of a cent are rounded up.

    Raises:
        InvalidInput: no such operation, or an amount that is none.
        NotFound: no such workflow of `owner`.
        InsufficientCredits: what is free does not cover it; nothing was charged.
    """
    cost = _cost(resource_type, amount)
    workflows.check_owned(session, owner, workflow_id)
    units = f"{amount:.6f}".rstrip("0").rstrip(".")
    reason = f"Usage: {units} x {resource_type}"
    asked = {"user": owner.id, "amount": cost, "key": f"usage:{uuid4()}", "reason": reason, "source": SOURCE}
    balance = session.scalar(_SPEND, asked)
    if balance is None:
        raise InsufficientCredits(cost, credits.balance(session, owner.id).available)
    return Charge(cost, balance)


def stats(session: Session, owner: User, period: Period) -> Stats:
    """Runs and credits of the last day, week, month (30 days) or year, with a chart's bars; in UTC."""
    now = datetime.now(UTC)
    starts = bars(period, now)
    found = Stats(period, starts[0], now, series=[Bar(start) for start in starts])
    asked = {"user": owner.id, "since": starts[0], "unit": BARS[period][0]}
    _add_runs(found, session.execute(_RUNS, asked).all())
    _add_moves(found, session.execute(_MOVES, asked).all())
    return found


def _cost(resource_type: str, amount: Decimal) -> Decimal:
    price = COSTS.get(resource_type)
    if price is None:
        message = f"Must be one of {', '.join(COSTS)}."
        raise InvalidInput("There is no such operation.", errors=[FieldError("resourceType", message)])
    if not amount.is_finite() or not 0 < amount <= MOST_CREDITS or price * amount > MOST_CREDITS:
        message = "Must be more than 0, and cost what can be counted."
        raise InvalidInput("This amount cannot be charged.", errors=[FieldError("amount", message)])
    return (price * amount).quantize(CENT, ROUND_CEILING)


def _add_runs(found: Stats, rows: Sequence[Row[Any]]) -> None:
    for row in rows:
        bar = _bar(found, row.start)
        bar.executions += row.total
        bar.successful += row.successful
        bar.failed += row.failed
        found.total_executions += row.total
        found.successful_executions += row.successful
        found.failed_executions += row.failed
        found.cancelled_executions += row.cancelled
        found.nodes_executed += row.nodes
    over = found.successful_executions + found.failed_executions
    if over:
        found.success_rate = round(100 * found.successful_executions / over, 1)
    if timed := sum(row.timed for row in rows):
        found.average_duration = round(float(sum(row.seconds for row in rows)) / timed, 3)


def _add_moves(found: Stats, rows: Sequence[Row[Any]]) -> None:
    for row in rows:
        bar = _bar(found, row.start)
        bar.credits_used += row.used
        bar.credits_added += row.added
        found.credits_used += row.used
        found.credits_added += row.added
        if row.used:
            found.credits_by_source[row.source] = found.credits_by_source.get(row.source, Decimal(0)) + row.used


def _bar(found: Stats, start: datetime) -> Bar:
    """The database's clock may be a moment ahead of ours: then its newest rows belong to the last bar."""
    return next((bar for bar in found.series if bar.start == start), found.series[-1])
