"""Usage that clients report, and statistics of a user's runs and credits.

Reported usage is charged to the available credits, in one statement with its transaction in the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_CEILING, Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.errors import FieldError, InsufficientCredits, InvalidInput
from models.rules.prices.pricing import CENT, COSTS, MAX_CREDITS
from models.rules.values.periods import Period, bars
from models.services.credits import ledger
from models.tables import User

SOURCE = "usage"

_SPEND = text("""
    WITH moved AS (
        UPDATE credits SET balance = balance - :amount, version = version + 1, updated_at = now()
         WHERE user_id = :user AND balance - held >= :amount
     RETURNING user_id, version, balance
    ), recorded AS (
        INSERT INTO credit_transactions
               (user_id, version, key, type, amount, balance_after, reason, source, reported_workflow)
        SELECT user_id, version, :key, 'debit', :amount, balance, :reason, :source, :workflow FROM moved
    )
    SELECT balance FROM moved
""")

_RUNS = text("""
    SELECT width_bucket(created_at, CAST(:starts AS timestamptz[])) AS number,
           count(*) AS total,
           count(*) FILTER (WHERE status = 'success') AS successful,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
           coalesce(sum(nodes_executed), 0) AS nodes,
           count(finished_at - started_at) AS timed,
           coalesce(extract(epoch FROM sum(finished_at - started_at)), 0) AS seconds
      FROM counted_runs
     WHERE user_id = :user AND created_at >= (CAST(:starts AS timestamptz[]))[1]
     GROUP BY 1
""")

_MOVES = text("""
    SELECT width_bucket(created_at, CAST(:starts AS timestamptz[])) AS number, source,
           coalesce(sum(amount) FILTER (WHERE type = 'debit'), 0) AS used,
           coalesce(sum(amount) FILTER (WHERE type = 'credit'), 0) AS added
      FROM credit_transactions
     WHERE user_id = :user AND created_at >= (CAST(:starts AS timestamptz[]))[1]
     GROUP BY 1, 2
""")


@dataclass(frozen=True)
class Charge:
    """The charge for reported usage, and the balance after it, in credits."""

    credits_charged: Decimal
    remaining_balance: Decimal
    success: bool = True


@dataclass
class Bar:
    """One interval of the statistics: runs submitted and credits moved from `start` until the next interval."""

    start: datetime
    executions: int = 0
    successful: int = 0
    failed: int = 0
    credits_used: Decimal = Decimal(0)
    credits_added: Decimal = Decimal(0)


@dataclass
class UsageStats:
    """Statistics of a user's runs and credits in a period. `success_rate` is 0 to 100."""

    period: Period
    since: datetime
    until: datetime
    total_executions: int = 0
    successful_executions: int = 0
    failed_executions: int = 0
    cancelled_executions: int = 0
    nodes_executed: int = 0
    success_rate: float | None = None  # among runs that succeeded or failed; None without any
    average_duration: float | None = None  # seconds
    credits_used: Decimal = Decimal(0)
    credits_added: Decimal = Decimal(0)
    credits_by_source: dict[str, Decimal] = field(default_factory=dict)  # used credits by the source of the transaction
    series: list[Bar] = field(default_factory=list)


def track(
    session: Session, owner: User, *, resource_type: str, amount: Decimal, workflow_id: str | None = None
) -> Charge:
    """Charge units of an operation of the price list; the cost is rounded up to cents.

    Args:
        session: the session of the transaction.
        owner: the user to charge.
        resource_type: the operation, by its name in the price list.
        amount: the number of units.
        workflow_id: the client's id of its workflow, which need not exist here; it is stored as given.

    Raises:
        InvalidInput: there is no such operation, or the amount is out of range.
        InsufficientCredits: the available credits do not cover the cost; nothing was charged.
    """
    cost = _cost(resource_type, amount)
    if not cost:
        return Charge(cost, ledger.balance(session, owner.id).balance)
    units = f"{amount:.6f}".rstrip("0").rstrip(".")
    reason = f"Usage: {units} x {resource_type}"
    transaction = {"key": f"usage:{uuid4()}", "reason": reason, "source": SOURCE, "workflow": workflow_id}
    balance = session.scalar(_SPEND, {"user": owner.id, "amount": cost, **transaction})
    if balance is None:
        raise InsufficientCredits(cost, ledger.balance(session, owner.id).available)
    return Charge(cost, balance)


def stats(session: Session, owner: User, period: Period, time_zone: tzinfo = UTC) -> UsageStats:
    """Statistics of a period until now, with its hours, days or months in a time zone."""
    now = datetime.now(UTC)
    starts = bars(period, now, time_zone)
    found = UsageStats(period, starts[0], now, series=[Bar(start) for start in starts])
    parameters = {"user": owner.id, "starts": starts}
    _add_runs(found, session.execute(_RUNS, parameters).all())
    _add_moves(found, session.execute(_MOVES, parameters).all())
    return found


def _cost(resource_type: str, amount: Decimal) -> Decimal:
    price = COSTS.get(resource_type)
    if price is None:
        message = f"Must be one of {', '.join(COSTS)}."
        raise InvalidInput("There is no such operation.", errors=[FieldError("resourceType", message)])
    if not amount.is_finite() or not 0 <= amount <= MAX_CREDITS or price * amount > MAX_CREDITS:
        message = f"Must be at least 0, and cost at most {MAX_CREDITS:,} credits."
        raise InvalidInput("This amount cannot be charged.", errors=[FieldError("amount", message)])
    return (price * amount).quantize(CENT, ROUND_CEILING)


def _add_runs(found: UsageStats, rows: Sequence[Row[Any]]) -> None:
    for row in rows:
        bar = found.series[row.number - 1]
        bar.executions += row.total
        bar.successful += row.successful
        bar.failed += row.failed
        found.total_executions += row.total
        found.successful_executions += row.successful
        found.failed_executions += row.failed
        found.cancelled_executions += row.cancelled
        found.nodes_executed += row.nodes
    ended = found.successful_executions + found.failed_executions
    if ended:
        found.success_rate = round(100 * found.successful_executions / ended, 1)
    if timed := sum(row.timed for row in rows):
        found.average_duration = round(float(sum(row.seconds for row in rows)) / timed, 3)


def _add_moves(found: UsageStats, rows: Sequence[Row[Any]]) -> None:
    for row in rows:
        bar = found.series[row.number - 1]
        bar.credits_used += row.used
        bar.credits_added += row.added
        found.credits_used += row.used
        found.credits_added += row.added
        if row.used:
            found.credits_by_source[row.source] = found.credits_by_source.get(row.source, Decimal(0)) + row.used
