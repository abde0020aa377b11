"""The gallery: graphs to start from. Copying one makes a workflow of the caller's own."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.rules.states import WorkflowStatus
from models.services import workflows
from models.services.paging import Position, newest_first
from models.template import Template
from models.user import User
from models.workflow import Workflow


def list_visible(
    session: Session,
    viewer: User,
    *,
    category: str | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[Template]:
    """The published templates and the viewer's own, the newest first."""
    query = select(Template).where(or_(Template.published, Template.owner_id == viewer.id))
    if category is not None:
        query = query.where(Template.category == category)
    return session.scalars(newest_first(query, Template, limit=limit, offset=offset, after=after)).all()


def get(session: Session, viewer: User, template_id: UUID) -> Template:
    """One template that the viewer may see; raises `NotFound`."""
    visible = or_(Template.published, Template.owner_id == viewer.id)
    template = session.scalar(select(Template).where(Template.id == template_id, visible))
    if template is None:
        raise NotFound("template")
    return template


def create(
    session: Session, owner: User, *, name: str, category: str, graph: workflows.Graph, description: str = ""
) -> Template:
    """Keep a graph that can run as a template of `owner`'s own, unpublished; raises `InvalidGraph`."""
    workflows.require_runnable(graph)
    template = Template(
        id=(template_id := uuid4()),
        slug=f"own-{template_id}",
        name=name,
        description=description,
        category=category,
        graph=dict(graph),
        owner_id=owner.id,
        published=False,
    )
    session.add(template)
    session.flush()
    return template


def instantiate(session: Session, owner: User, template_id: UUID, *, name: str | None = None) -> Workflow:
    """Make a workflow of `owner`'s from a template; raises as `workflows.create` does, and `NotFound`."""
    template = get(session, owner, template_id)
    return workflows.create(
        session,
        owner,
        name=name or template.name,
        description=template.description,
        graph=template.graph,
        status=WorkflowStatus.ACTIVE,
    )
