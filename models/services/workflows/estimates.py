"""Cost estimates of a version by a price list, and the credits to hold for a run of it."""

from collections.abc import Collection
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput
from models.rules.graph.graph import parse
from models.rules.lint.estimate import least_run, worst_case
from models.rules.nodes import KINDS
from models.rules.prices.pricing import CURRENT, MAX_CREDITS, PriceList
from models.tables import WorkflowVersion


def by(session: Session, prices: PriceList, version_id: UUID, stored: Decimal, stored_prices: str) -> Decimal:
    """The worst case in credits of a version without errors, by `prices` and without the workflows that it runs.

    `stored` is the worst case by the price list `stored_prices`.
    """
    if stored_prices == prices.name:
        return stored
    graph = session.scalars(select(WorkflowVersion.graph).where(WorkflowVersion.id == version_id)).one()
    return min(worst_case(parse(graph), KINDS, prices), MAX_CREDITS)


def least(session: Session, version_id: UUID, prices: PriceList = CURRENT, *, done: Collection[str] = ()) -> Decimal:
    """The fewest credits with which a run of a version can begin, if the nodes in `done` do not run again."""
    graph = session.scalars(select(WorkflowVersion.graph).where(WorkflowVersion.id == version_id)).one()
    return least_run(parse(graph), KINDS, prices, done)


def cap(
    session: Session, version_id: UUID, worst_case: Decimal, wanted: Decimal | None, *, done: Collection[str] = ()
) -> Decimal:
    """The credits to hold for a run of a version, in which the nodes in `done` do not run again.

    Raises `InvalidInput` if `wanted` is not an amount of credits or is less than a run needs to begin.
    """
    if wanted is None:
        return worst_case
    if not wanted.is_finite() or not 0 <= wanted <= MAX_CREDITS or wanted != round(wanted, 2):
        raise _refused("Must be an amount of credits with at most two decimals.")
    if wanted >= worst_case:
        return worst_case
    lowest = min(least(session, version_id, done=done), worst_case)
    if wanted < lowest:
        raise _refused(f"Must be at least {lowest} credits: the fee of a run and its cheapest first node.")
    return wanted


def _refused(message: str) -> InvalidInput:
    return InvalidInput("These credits cannot be held.", errors=[FieldError("maxCredits", message)])
