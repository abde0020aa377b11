"""Which of the owner's workflows a graph runs, as they are now: may they run, and what does all of it cost at most?

Asked when a workflow is saved as active, when a run is submitted, and when a child starts: they change in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from models.base import Json
from models.errors import FieldError
from models.rules.pricing import CURRENT, PriceList
from models.rules.subworkflows import MAX_DEPTH, Call, Called, Verdict, judge
from models.services import estimates
from models.services import workflow_limits as limits
from models.user import User
from models.workflow import Workflow, WorkflowVersion


@dataclass(frozen=True)
class Below:
    """What runs below a version: the errors that forbid it, and what it adds to the worst case."""

    errors: Sequence[FieldError] = ()
    credits: Decimal = Decimal(0)


def look(session: Session, owner: User, calls: Sequence[Call]) -> Verdict:
    """Judge what a graph calls."""
    return judge(calls, _known(session, owner, calls, CURRENT))


def below(
    session: Session,
    owner: User,
    kept: Json,
    *,
    depth: int = 0,
    itself: UUID | None = None,
    prices: PriceList = CURRENT,
) -> Below:
    """Judge the `calls` of a version that runs `depth` runs below the one that was asked for; cheap without any.

    With `itself` they are to become those of that workflow, which they may lead back to.
    """
    if not kept:
        return Below()
    calls = tuple(Call.from_json(call) for call in kept)
    known = _known(session, owner, calls, prices)
    if itself in known:
        known[itself] = replace(known[itself], calls=calls)
    verdict = judge(calls, known, depth)
    return Below([FieldError(found.field, found.message) for found in verdict.errors], verdict.credits)


def _known(session: Session, owner: User, calls: Sequence[Call], prices: PriceList) -> dict[UUID, Called]:
    """Every workflow that may be reached, level by level."""
    known: dict[UUID, Called] = {}
    wanted = {call.workflow_id for call in calls}
    for _ in range(MAX_DEPTH):
        if not wanted:
            break
        known |= (found := _newest(session, owner, wanted, prices))
        wanted = {call.workflow_id for called in found.values() for call in called.calls} - known.keys()
    return known


def _newest(session: Session, owner: User, ids: set[UUID], prices: PriceList) -> dict[UUID, Called]:
    version = WorkflowVersion
    rows = session.execute(
        select(
            Workflow.id,
            Workflow.name,
            version.node_count,
            version.id.label("version_id"),
            version.worst_case_credits,
            version.price_list,
            version.calls,
            func.jsonb_array_length(version.lint_errors).label("errors"),
            limits.is_surplus(owner).label("surplus"),
        )
        .select_from(Workflow)
        .join(Workflow.latest)
        .where(Workflow.id.in_(ids), Workflow.user_id == owner.id, Workflow.deleted_at.is_(None))
    )
    return {
        row.id: Called(
            row.name,
            _cost(session, row, prices),
            tuple(Call.from_json(call) for call in row.calls),
            limits.why_read_only(owner.subscription_tier, surplus=row.surplus, nodes=row.node_count)
            or ("its graph has errors." if row.errors else None),
        )
        for row in rows
    }


def _cost(session: Session, row: Row[Any], prices: PriceList) -> Decimal:
    """The worst case of one that may run; of a broken graph nothing can be reckoned, and it stops the run anyway."""
    known: Decimal = row.worst_case_credits
    return known if row.errors else estimates.by(session, prices, row.version_id, known, row.price_list)
