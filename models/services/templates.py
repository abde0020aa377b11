"""The gallery: graphs to start from. Copying one makes a workflow of the caller's own."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from models.errors import Forbidden, InvalidInput, NotFound
from models.rules.privacy import private_parts
from models.rules.states import WorkflowStatus
from models.services import storage, workflows
from models.services.locks import lock_user
from models.services.paging import Position, newest_first
from models.template import Template
from models.user import User
from models.workflow import Workflow

MOST_OWNED = 100


class TemplateLimitReached(Forbidden):
    """Nobody has so many templates of their own."""

    code = "template_limit_reached"

    def __init__(self) -> None:
        super().__init__(f"You have {MOST_OWNED} templates of your own, and there can be no more: delete one.")


def list_visible(
    session: Session,
    viewer: User,
    *,
    category: str | None = None,
    own: bool = False,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[Template]:
    """The published templates and the viewer's own, or only these, the newest first, each with its owner."""
    query = select(Template).where(Template.owner_id == viewer.id if own else _visible(viewer))
    if category is not None:
        query = query.where(Template.category == category)
    query = query.options(joinedload(Template.owner))
    return session.scalars(newest_first(query, Template, limit=limit, offset=offset, after=after)).all()


def categories(session: Session, viewer: User) -> dict[str, int]:
    """How many templates of each category the viewer may see, by the category's name."""
    counted = select(Template.category, func.count().label("templates")).where(_visible(viewer))
    rows = session.execute(counted.group_by(Template.category).order_by(Template.category))
    return {row.category: row.templates for row in rows}


def get(session: Session, viewer: User, template_id: UUID) -> Template:
    """One template that the viewer may see; raises `NotFound`."""
    visible = select(Template).where(Template.id == template_id, _visible(viewer))
    template = session.scalar(visible.options(joinedload(Template.owner)))
    if template is None:
        raise NotFound("template")
    return template


def create(
    session: Session,
    owner: User,
    *,
    name: str,
    category: str,
    graph: workflows.Graph,
    description: str = "",
    published: bool = False,
) -> Template:
    """Keep a graph that can run as a template of `owner`'s own; everybody sees it once it is published.

    Raises `InvalidGraph`, `InvalidInput` for what must not be published, and where `owner` may keep no more
    `TemplateLimitReached` or `StorageLimitReached`.
    """
    workflows.require_runnable(graph)
    lock_user(session, owner.id)
    owned = select(func.count()).where(Template.owner_id == owner.id)
    if session.execute(owned).scalar_one() >= MOST_OWNED:
        raise TemplateLimitReached
    storage.require_room(session, owner)
    template = Template(
        id=(template_id := uuid4()),
        slug=f"own-{template_id}",
        name=name,
        description=description,
        category=category,
        graph=dict(graph),
        owner_id=owner.id,
        published=published,
    )
    _require_publishable(template)
    session.add(template)
    session.flush()
    return template


def change(
    session: Session,
    owner: User,
    template_id: UUID,
    *,
    name: str | None = None,
    category: str | None = None,
    graph: workflows.Graph | None = None,
    description: str | None = None,
    published: bool | None = None,
) -> Template:
    """Change what is given of a template of `owner`'s; raises `NotFound` and as `create` does."""
    template = _locked(session, owner, template_id)
    if graph is not None:
        workflows.require_runnable(graph)
        storage.require_room(session, owner)
        template.graph = dict(graph)
    template.name = name if name is not None else template.name
    template.category = category if category is not None else template.category
    template.description = description if description is not None else template.description
    template.published = published if published is not None else template.published
    _require_publishable(template)
    session.flush()
    return template


def delete(session: Session, owner: User, template_id: UUID) -> None:
    """Take a template of `owner`'s away; workflows made from it stay. Raises `NotFound`."""
    session.delete(_locked(session, owner, template_id))
    session.flush()


def instantiate(session: Session, owner: User, template_id: UUID, *, name: str | None = None) -> Workflow:
    """Make a workflow of `owner`'s from a template; raises as `workflows.create` does, and `NotFound`."""
    template = get(session, owner, template_id)
    if template.owner_id != owner.id:
        used = update(Template).where(Template.id == template_id)
        session.execute(used.values(uses=Template.uses + 1, updated_at=Template.updated_at))
    return workflows.create(
        session,
        owner,
        name=name or template.name,
        description=template.description,
        graph=template.graph,
        status=WorkflowStatus.ACTIVE,
    )


def _visible(viewer: User) -> ColumnElement[bool]:
    return or_(Template.published, Template.owner_id == viewer.id)


def _locked(session: Session, owner: User, template_id: UUID) -> Template:
    mine = select(Template).where(Template.id == template_id, Template.owner_id == owner.id).with_for_update()
    template = session.scalar(mine.execution_options(populate_existing=True))
    if template is None:
        raise NotFound("template")
    return template


def _require_publishable(template: Template) -> None:
    if template.published and (errors := private_parts(template.graph)):
        raise InvalidInput(f"This template cannot be published: {errors[0].message}", errors=errors[:50])
