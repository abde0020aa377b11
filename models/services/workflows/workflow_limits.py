"""The limits of a tier on the number and size of workflows.

A downgrade deletes nothing. The oldest workflows, as many as the new tier allows, work as before; the others, and those
that are too large, are read-only: they can be read and deleted, but neither changed nor run.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, false, func, literal, select
from sqlalchemy.orm import Session, aliased

from models.errors import Forbidden, Quota
from models.rules.prices.pricing import PLANS, UNLIMITED, Tier
from models.services.rows.queries import lock_user
from models.tables import User, Workflow

# The condition that the tier of its owner allows a version `v` of a workflow `w` to run, as `require_allowed` decides.
IS_ALLOWED = """
    (CAST(:max_nodes AS int) IS NULL OR v.node_count <= :max_nodes)
    AND (CAST(:max_workflows AS int) IS NULL OR w.id IN (
        SELECT o.id FROM workflows o WHERE o.user_id = :owner AND o.deleted_at IS NULL
         ORDER BY o.created_at, o.id LIMIT :max_workflows))
"""


class WorkflowLimitReached(Forbidden):
    """The tier allows no further workflow."""

    code = "workflow_limit_reached"

    def __init__(self, tier: Tier, limit: int, current: int) -> None:
        super().__init__(
            f"The {tier} tier allows {limit} workflows: delete one or choose a higher tier.",
            quota=Quota(limit, current),
        )


class WorkflowReadOnly(Forbidden):
    """The workflow is read-only, because the owner has as many older workflows as the tier allows."""

    code = "workflow_read_only"

    def __init__(self, tier: Tier, limit: int) -> None:
        super().__init__(
            f"The {tier} tier allows {limit} workflows, and you have {limit} older ones:"
            " to change or run this one, delete an older one or choose a higher tier."
        )


class NodeLimitReached(Forbidden):
    """The graph has more nodes than the tier allows."""

    code = "node_limit_reached"

    def __init__(self, tier: Tier, limit: int, nodes: int) -> None:
        super().__init__(
            f"The {tier} tier allows {limit} nodes in a workflow, and this one has {nodes}:"
            " remove some or choose a higher tier.",
            quota=Quota(limit, nodes),
        )


def bounds(tier: Tier) -> dict[str, int | None]:
    """The parameters of `IS_ALLOWED`; None if unlimited."""
    limits = PLANS[tier].limits
    named = {"max_nodes": limits.max_nodes, "max_workflows": limits.max_workflows}
    return {name: None if limit == UNLIMITED else limit for name, limit in named.items()}


def check_number(session: Session, owner: User) -> Tier:
    """Return the owner's tier if it allows another workflow; raises `WorkflowLimitReached`.

    Locks the user, so that concurrent requests cannot exceed the limit.
    """
    tier = lock_user(session, owner.id)
    limit = PLANS[tier].limits.max_workflows
    if limit != UNLIMITED:
        owned = select(func.count()).where(Workflow.user_id == owner.id, Workflow.deleted_at.is_(None))
        current = session.execute(owned).scalar_one()
        if current >= limit:
            raise WorkflowLimitReached(tier, limit, current)
    return tier


def check_size(tier: Tier, nodes: int, *, before: int = 0) -> None:
    """Raise `NodeLimitReached` if a graph is too large, unless it is smaller than the one `before`."""
    if not allows(tier, nodes) and nodes >= before:
        raise NodeLimitReached(tier, PLANS[tier].limits.max_nodes, nodes)


def allows(tier: Tier, nodes: int) -> bool:
    """Whether the tier allows a graph of this size."""
    limit = PLANS[tier].limits.max_nodes
    return limit == UNLIMITED or nodes <= limit


def is_surplus(owner: User) -> ColumnElement[bool]:
    """The condition that a workflow of `owner` is not among the oldest ones that the tier allows."""
    return is_surplus_of(owner.subscription_tier, literal(owner.id))


def is_surplus_of(tier: Tier, owner_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Like `is_surplus`, for an owner that is bound to the statement later."""
    limit = PLANS[tier].limits.max_workflows
    if limit == UNLIMITED:
        return false()
    other = aliased(Workflow)
    oldest = select(other.id).where(other.user_id == owner_id, other.deleted_at.is_(None))
    return Workflow.id.not_in(oldest.order_by(other.created_at, other.id).limit(limit))


def check_reached(tier: Tier, *, surplus: bool) -> None:
    """Raise `WorkflowReadOnly` for a surplus workflow."""
    if surplus:
        raise WorkflowReadOnly(tier, PLANS[tier].limits.max_workflows)


def require_allowed(tier: Tier, *, surplus: bool, nodes: int) -> None:
    """Raise `WorkflowReadOnly` or `NodeLimitReached` if the tier does not allow the workflow to run."""
    check_reached(tier, surplus=surplus)
    check_size(tier, nodes)


def why_read_only(tier: Tier, *, surplus: bool, nodes: int) -> str | None:
    """Why a workflow is read-only, as a sentence for its owner; None if it is not."""
    try:
        require_allowed(tier, surplus=surplus, nodes=nodes)
    except Forbidden as error:
        return error.detail
    return None


def require_rerunnable(session: Session, owner: User, workflow_id: UUID, nodes: int) -> None:
    """Raise as `require_allowed` does, for another run of an old version; a deleted workflow is never surplus."""
    query = select(is_surplus(owner)).where(Workflow.id == workflow_id, Workflow.deleted_at.is_(None))
    surplus = PLANS[owner.subscription_tier].limits.max_workflows != UNLIMITED and bool(session.scalar(query))
    require_allowed(owner.subscription_tier, surplus=surplus, nodes=nodes)
