"""What a tier allows of workflows: how many, and how large.

A tier that falls deletes nothing. The oldest workflows, as many as the new tier allows, go on as before; the others and
those that are too large can be read and deleted, and say why they can neither be changed nor run.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, false, func, literal, select
from sqlalchemy.orm import Session, aliased

from models.errors import Forbidden
from models.rules.pricing import PLANS, UNLIMITED, Tier
from models.services.locks import lock_user
from models.user import User
from models.workflow import Workflow


class WorkflowLimitReached(Forbidden):
    """The tier allows no further workflow."""

    code = "workflow_limit_reached"

    def __init__(self, tier: Tier, limit: int) -> None:
        super().__init__(f"The {tier} tier allows {limit} workflows: delete one or choose a higher tier.")


class WorkflowReadOnly(Forbidden):
    """The owner has as many older workflows as the tier allows."""

    code = "workflow_read_only"

    def __init__(self, tier: Tier, limit: int) -> None:
        super().__init__(
            f"The {tier} tier allows {limit} workflows, and you have {limit} older ones:"
            " to change or run this one, delete an older one or choose a higher tier."
        )


class NodeLimitReached(Forbidden):
    """The tier allows no graph of this size."""

    code = "node_limit_reached"

    def __init__(self, tier: Tier, limit: int, nodes: int) -> None:
        super().__init__(
            f"The {tier} tier allows {limit} nodes in a workflow, and this one has {nodes}:"
            " remove some or choose a higher tier."
        )


def check_number(session: Session, owner: User) -> Tier:
    """The owner's tier, if it allows one workflow more; raises `WorkflowLimitReached`.

    One request of this user at a time counts and adds workflows.
    """
    tier = lock_user(session, owner.id)
    limit = PLANS[tier].limits.max_workflows
    if limit != UNLIMITED:
        owned = select(func.count()).where(Workflow.user_id == owner.id, Workflow.deleted_at.is_(None))
        if session.execute(owned).scalar_one() >= limit:
            raise WorkflowLimitReached(tier, limit)
    return tier


def check_size(tier: Tier, nodes: int, *, before: int = 0) -> None:
    """Raises `NodeLimitReached` for a graph that is too large, unless it is smaller than the one `before`."""
    limit = PLANS[tier].limits.max_nodes
    if limit != UNLIMITED and nodes > limit and nodes >= before:
        raise NodeLimitReached(tier, limit, nodes)


def is_surplus(owner: User) -> ColumnElement[bool]:
    """Of a row of `owner`'s workflows: whether it comes after the oldest ones that the tier allows."""
    return is_surplus_of(owner.subscription_tier, literal(owner.id))


def is_surplus_of(tier: Tier, owner_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """The same for whoever is bound to the statement later."""
    limit = PLANS[tier].limits.max_workflows
    if limit == UNLIMITED:
        return false()
    other = aliased(Workflow)
    oldest = select(other.id).where(other.user_id == owner_id, other.deleted_at.is_(None))
    return Workflow.id.not_in(oldest.order_by(other.created_at, other.id).limit(limit))


def check_reached(tier: Tier, *, surplus: bool) -> None:
    """Raises `WorkflowReadOnly` for a surplus workflow."""
    if surplus:
        raise WorkflowReadOnly(tier, PLANS[tier].limits.max_workflows)


def require_allowed(tier: Tier, *, surplus: bool, nodes: int) -> None:
    """Raises `WorkflowReadOnly` or `NodeLimitReached` for what the tier lets nobody run."""
    check_reached(tier, surplus=surplus)
    check_size(tier, nodes)


def why_read_only(tier: Tier, *, surplus: bool, nodes: int) -> str | None:
    """The sentence for the owner of a workflow that is over a limit; None for one that is not."""
    try:
        require_allowed(tier, surplus=surplus, nodes=nodes)
    except Forbidden as refusal:
        return refusal.detail
    return None


def require_rerunnable(session: Session, owner: User, workflow_id: UUID, nodes: int) -> None:
    """Raises as `require_allowed` does for another run of an old version; a deleted workflow is nobody's surplus."""
    query = select(is_surplus(owner)).where(Workflow.id == workflow_id, Workflow.deleted_at.is_(None))
    surplus = PLANS[owner.subscription_tier].limits.max_workflows != UNLIMITED and bool(session.scalar(query))
    require_allowed(owner.subscription_tier, surplus=surplus, nodes=nodes)
