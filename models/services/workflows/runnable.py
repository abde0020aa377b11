"""Selects the version of a workflow for a run, and checks that it may run now and what it costs at most.

The version is locked together with its workflow, like by the foreign keys of the run, so that no save takes its number
before the run is stored. A statement that waited for such a save finds no row, because the version that it saw lost
its number; repeated, it sees the version of that save.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, select
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput, NotFound
from models.raw_statement import PreparedStatement
from models.rules.graph.findings import Finding
from models.rules.lint.problems import field_errors, problems
from models.rules.prices.pricing import CURRENT, MAX_CREDITS, PriceList, Tier
from models.serialization import Json
from models.services.workflows import estimates, openclaw_agents, subworkflows
from models.services.workflows import workflow_limits as limits
from models.services.workflows.saved_versions import InvalidGraph
from models.tables import User, Workflow, WorkflowVersion

RequestedVersion = int | Literal["latest"] | UUID  # by number, or by id


@dataclass(frozen=True)
class Runnable:
    """A version for a new run; the worst case, in credits, includes all child runs."""

    id: UUID
    workflow_name: str
    node_count: int
    worst_case_credits: Decimal
    timeout: int | None
    max_queue_seconds: int | None


def newest(
    session: Session, owner: User, workflow_id: UUID, *, depth: int = 0, prices: PriceList = CURRENT
) -> Runnable:
    """The newest version of a workflow, for a new run.

    Args:
        session: the session of the transaction.
        owner: the user who owns the workflow.
        workflow_id: the workflow.
        depth: the number of runs above the new one.
        prices: the price list by which the run is charged.

    Raises:
        NotFound: `owner` has no such workflow.
        InvalidGraph: the graph, or a workflow that it runs, cannot run.
        WorkflowReadOnly, NodeLimitReached: the owner's tier does not allow a run.
    """
    parameters = {"workflow": workflow_id, "owner": owner.id}
    statement = _newest(owner.subscription_tier)
    row = statement.first(session, parameters) or statement.first(session, parameters)
    if row is None:
        raise NotFound("workflow")
    surplus, version = row[0], _VersionRow._make(row[1:])
    limits.require_allowed(owner.subscription_tier, surplus=surplus, nodes=version.node_count)
    return _runnable(session, owner, version, depth, prices)


def again(session: Session, owner: User, workflow_id: UUID, version: RequestedVersion) -> Runnable:
    """A version for another run of a workflow, which may be deleted; raises as `newest` does.

    Raises `InvalidInput` if the workflow has no such version.
    """
    is_requested: ColumnElement[bool] = WorkflowVersion.number == version
    if version == "latest":
        is_requested = WorkflowVersion.number == Workflow.latest_version
    elif isinstance(version, UUID):
        is_requested = WorkflowVersion.id == version
    conditions = (is_requested, Workflow.id == workflow_id, Workflow.user_id == owner.id)
    query = _version_query().where(*conditions)
    row = session.execute(query).one_or_none() or session.execute(query).one_or_none()
    if row is None:
        message = "Must be the number of a version of this workflow, or `latest`."
        raise InvalidInput("The run cannot be repeated.", errors=[FieldError("version", message)])
    found = _VersionRow._make(row)
    limits.require_rerunnable(session, owner, workflow_id, found.node_count)
    return _runnable(session, owner, found, 0, CURRENT)


class _VersionRow(NamedTuple):
    """The selected columns of a version and its workflow."""

    id: UUID
    node_count: int
    worst_case_credits: Decimal
    price_list: str
    lint_errors: Json
    calls: Json
    agents: Json
    name: str
    timeout: int | None
    max_queue_seconds: int | None


@cache
def _newest(tier: Tier) -> PreparedStatement:
    owner, workflow = (bindparam(name, type_=Workflow.id.type) for name in ("owner", "workflow"))
    owned = (Workflow.id == workflow, Workflow.user_id == owner, Workflow.deleted_at.is_(None))
    query = _version_query(limits.is_surplus_of(tier, owner))
    return PreparedStatement(query.where(*owned, WorkflowVersion.number == Workflow.latest_version))


def _version_query(*first: ColumnElement[Any]) -> Select[Any]:
    version = WorkflowVersion
    cost = (version.worst_case_credits, version.price_list)
    columns = (version.id, version.node_count, *cost, version.lint_errors, version.calls, version.agents)
    query = select(*first, *columns, Workflow.name, Workflow.timeout, Workflow.max_queue_seconds)
    joined = query.select_from(version).join(Workflow, version.workflow_id == Workflow.id)
    return joined.with_for_update(read=True, key_share=True, of=(Workflow, version))  # in the order of a save


def _problems(session: Session, version_id: UUID, errors: Sequence[Finding]) -> list[Json]:
    """Errors of a version as problems that name its nodes."""
    if not errors:
        return []
    graph = session.scalars(select(WorkflowVersion.graph).where(WorkflowVersion.id == version_id)).one()
    return problems(errors, graph)


def _runnable(session: Session, owner: User, version: _VersionRow, depth: int, prices: PriceList) -> Runnable:
    below = subworkflows.below(session, owner, version.calls, depth=depth, prices=prices)
    errors = (*openclaw_agents.judge(session, version.agents), *below.errors)
    if version.lint_errors or errors:
        raise InvalidGraph(field_errors([*version.lint_errors, *_problems(session, version.id, errors)]))
    own = estimates.by(session, prices, version.id, version.worst_case_credits, version.price_list)
    worst_case = min(own + below.credits, MAX_CREDITS)
    times = (version.timeout, version.max_queue_seconds)
    return Runnable(version.id, version.name, version.node_count, worst_case, *times)
