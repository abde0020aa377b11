"""Which version of a workflow a run is pinned to, whether it may run now, and what that costs at most."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, select
from sqlalchemy.orm import Session

from models.base import Json
from models.errors import FieldError, InvalidInput, NotFound
from models.plain import Plain
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
    row = _newest(owner.subscription_tier).first(session, asked)
    if row is None:
        raise NotFound("workflow")
    surplus, facts = row[0], _Facts._make(row[1:])
    limits.require_allowed(owner.subscription_tier, surplus=surplus, nodes=facts.node_count)
    return _runnable(session, owner, facts, depth, prices)


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
    row = session.execute(_facts().where(*mine)).one_or_none()
    if row is None:
        message = "This workflow has no such version."
        raise InvalidInput("The run cannot be repeated.", errors=[FieldError("version", message)])
    facts = _Facts._make(row)
    limits.require_rerunnable(session, owner, workflow_id, facts.node_count)
    return _runnable(session, owner, facts, 0, CURRENT)


class _Facts(NamedTuple):
    """What is asked of a version."""

    id: UUID
    node_count: int
    worst_case_credits: Decimal
    price_list: str
    lint_errors: Json
    calls: Json
    name: str
    timeout: int | None
    max_queue_seconds: int | None


@cache
def _newest(tier: Tier) -> Plain:
    owner, workflow = (bindparam(name, type_=Workflow.id.type) for name in ("owner", "workflow"))
    mine = (Workflow.id == workflow, Workflow.user_id == owner, Workflow.deleted_at.is_(None))
    query = _facts(limits.is_surplus_of(tier, owner))
    return Plain(query.where(*mine, WorkflowVersion.number == Workflow.latest_version))


def _facts(*first: ColumnElement[Any]) -> Select[Any]:
    version = WorkflowVersion
    cost = (version.worst_case_credits, version.price_list)
    columns = (version.id, version.node_count, *cost, version.lint_errors, version.calls)
    query = select(*first, *columns, Workflow.name, Workflow.timeout, Workflow.max_queue_seconds)
    return query.select_from(version).join(Workflow, version.workflow_id == Workflow.id)


def _runnable(session: Session, owner: User, facts: _Facts, depth: int, prices: PriceList) -> Runnable:
    below = subworkflows.below(session, owner, facts.calls, depth=depth, prices=prices)
    if errors := [*(FieldError(**error) for error in facts.lint_errors), *below.errors]:
        raise InvalidGraph(errors)
    own = estimates.by(session, prices, facts.id, facts.worst_case_credits, facts.price_list)
    worst_case = min(own + below.credits, MOST_CREDITS)
    return Runnable(facts.id, facts.name, facts.node_count, worst_case, facts.timeout, facts.max_queue_seconds)
