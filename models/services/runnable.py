"""Which version of a workflow a run is pinned to, whether it may run now, and what that costs at most."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, bindparam, select
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput, NotFound
from models.rules.pricing import CURRENT, MOST_CREDITS, PriceList, Tier
from models.services import estimates, subworkflows
from models.services import workflow_limits as limits
from models.services.workflows import InvalidGraph
from models.user import User
from models.workflow import Workflow, WorkflowVersion

VersionWish = int | Literal["latest"] | UUID  # by number, or by id


@dataclass(frozen=True)
class Runnable:
    """What a new run needs to know of the version that it is pinned to; the worst case has all that it starts."""

    id: UUID
    workflow_name: str
    node_count: int
    worst_case_credits: Decimal
    timeout: int | None
    max_queue_seconds: int | None


def newest(
    session: Session, owner: User, workflow_id: UUID, *, depth: int = 0, prices: PriceList = CURRENT
) -> Runnable:
    """The newest version, which a run started now is pinned to; `depth` tells how many runs are above it.

    The run is to be paid by `prices`.

    Raises:
        NotFound, InvalidGraph, and where the owner's tier does not allow a run WorkflowReadOnly, NodeLimitReached.
    """
    asked = {"workflow": workflow_id, "owner": owner.id}
    row = session.execute(_newest(owner.subscription_tier), asked).mappings().one_or_none()
    if row is None:
        raise NotFound("workflow")
    limits.require_allowed(owner.subscription_tier, surplus=row["surplus"], nodes=row["node_count"])
    return _runnable(session, owner, row, depth, prices)


def again(session: Session, owner: User, workflow_id: UUID, version: VersionWish) -> Runnable:
    """A version for another run of a workflow, which may be deleted by now; raises as `newest` does.

    Raises `InvalidInput` when the workflow has no such version.
    """
    which: ColumnElement[bool] = WorkflowVersion.number == version
    if version == "latest":
        which = WorkflowVersion.number == Workflow.latest_version
    elif isinstance(version, UUID):
        which = WorkflowVersion.id == version
    mine = (which, Workflow.id == workflow_id, Workflow.user_id == owner.id)
    row = session.execute(_facts().where(*mine)).mappings().one_or_none()
    if row is None:
        message = "This workflow has no such version."
        raise InvalidInput("The run cannot be repeated.", errors=[FieldError("version", message)])
    limits.require_rerunnable(session, owner, workflow_id, row["node_count"])
    return _runnable(session, owner, row, 0, CURRENT)


@cache
def _newest(tier: Tier) -> Select[Any]:
    """Made once for each tier: putting a statement together costs more than running it."""
    owner = bindparam("owner", type_=Workflow.user_id.type)
    mine = (Workflow.id == bindparam("workflow"), Workflow.user_id == owner, Workflow.deleted_at.is_(None))
    query = _facts().add_columns(limits.is_surplus_of(tier, owner).label("surplus"))
    return query.where(*mine, WorkflowVersion.number == Workflow.latest_version)


def _facts() -> Select[Any]:
    version = WorkflowVersion
    cost = (version.worst_case_credits, version.price_list)
    columns = (version.id, version.node_count, *cost, version.lint_errors, version.calls)
    query = select(*columns, Workflow.name, Workflow.timeout, Workflow.max_queue_seconds)
    return query.join(Workflow, version.workflow_id == Workflow.id)


def _runnable(session: Session, owner: User, row: RowMapping, depth: int, prices: PriceList) -> Runnable:
    below = subworkflows.below(session, owner, row["calls"], depth=depth, prices=prices)
    if errors := [*(FieldError(**error) for error in row["lint_errors"]), *below.errors]:
        raise InvalidGraph(errors)
    own = estimates.by(session, prices, row["id"], row["worst_case_credits"], row["price_list"])
    worst_case = min(own + below.credits, MOST_CREDITS)
    return Runnable(row["id"], row["name"], row["node_count"], worst_case, row["timeout"], row["max_queue_seconds"])
