"""Templates of workflows, and the gallery of the published ones."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, tuple_, update
from sqlalchemy.orm import Session, aliased, joinedload

from models.errors import FieldError, Forbidden, InvalidInput, NotFound, Quota
from models.rules.executions.states import WorkflowStatus
from models.rules.graph.privacy import private_parts
from models.rules.lint.problems import field_errors
from models.rules.values.categories import category_of
from models.services.credits import storage
from models.services.rows.queries import Position, lock_user
from models.services.workflows import saved_versions, workflows
from models.tables import UNDO_DELETION, Template, User, Workflow

MAX_OWNED = 100


class TemplateLimitReached(Forbidden):
    """The user has the maximum number of templates."""

    code = "template_limit_reached"

    def __init__(self) -> None:
        super().__init__(
            f"You have {MAX_OWNED} templates, which is the maximum: delete one.",
            quota=Quota(MAX_OWNED, MAX_OWNED),
        )


class EmailNotVerified(Forbidden):
    """The caller's email address is not verified, which is required for publishing."""

    code = "email_not_verified"

    def __init__(self) -> None:
        super().__init__("Follow the link in the mail to your address before you publish a template.")


class TemplateUnpublished(Forbidden):
    """An administrator unpublished the template permanently."""

    code = "template_unpublished"

    def __init__(self) -> None:
        super().__init__("An administrator removed this template from the gallery: it cannot be published again.")


class NotPublishable(InvalidInput):
    """The template contains private data, which other users would see."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(f"This template cannot be published. {errors[0].field}: {errors[0].message}", errors=errors)


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
    """A page of the published templates and the viewer's own, or with `own` only these, with their owners.

    Templates of the service come first, then the newest.
    """
    query = select(Template).where(_visible(viewer))
    if own:
        query = query.where(Template.owner_id == viewer.id)
    if category is not None:
        query = query.where(Template.category == category_of(category))
    query = query.options(joinedload(Template.owner))
    by_user = Template.owner_id.is_not(None)
    if after:  # if the last template was one of the service, those of users follow, whatever their age
        last = aliased(Template)
        was_by_user = select(last.owner_id.is_not(None)).where(last.id == after[1]).scalar_subquery()
        older = and_(by_user == was_by_user, tuple_(Template.created_at, Template.id) < after)
        query = query.where(or_(by_user > was_by_user, older))
    ordered = query.order_by(by_user, Template.created_at.desc(), Template.id.desc())
    return session.scalars(ordered.limit(limit).offset(offset)).all()


def categories(session: Session, viewer: User) -> dict[str, int]:
    """The number of visible templates by the name of their category."""
    counted = select(Template.category, func.count().label("templates")).where(_visible(viewer))
    rows = session.execute(counted.group_by(Template.category).order_by(Template.category))
    return {row.category: row.templates for row in rows}


def get(session: Session, viewer: User, template_id: UUID) -> Template:
    """A template that is published or the viewer's own; raises `NotFound`."""
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
    estimated_time: int | None = None,
) -> Template:
    """Save a graph as a template of `owner`; `estimated_time` is in minutes.

    Raises:
        NodeLimitReached: the graph is too large for the owner's tier.
        InvalidGraph: the graph is malformed, or published although it cannot run.
        NotPublishable: it is published and contains private data.
        EmailNotVerified: it is published by an owner with an unverified address.
        TemplateLimitReached, StorageLimitReached: the owner cannot store another template.
    """
    problems = workflows.problems_of(owner, graph)
    lock_user(session, owner.id)
    _check_number(session, owner)
    storage.require_room(session, owner)
    template = Template(
        id=(template_id := uuid4()),
        slug=f"own-{template_id}",
        name=name,
        description=description,
        category=category_of(category),
        estimated_minutes=estimated_time,
        graph=dict(graph),
        problems=problems,
        owner_id=owner.id,
        published=published,
    )
    _require_publishable(owner, template)
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
    **time: int | None,
) -> Template:
    """Change the given values of a template of `owner`; `time` may have `estimated_time`, which None removes.

    Raises `NotFound`, `TemplateUnpublished` if it is published again, and the errors of `create`.
    """
    template = _locked(session, owner, template_id)
    if graph is not None:
        template.problems = workflows.problems_of(owner, graph)
        storage.require_room(session, owner)
        template.graph = dict(graph)
    template.name = name if name is not None else template.name
    template.category = category_of(category) if category is not None else template.category
    template.estimated_minutes = time.get("estimated_time", template.estimated_minutes)
    template.description = description if description is not None else template.description
    template.published = published if published is not None else template.published
    _require_publishable(owner, template)
    session.flush()
    return template


def delete(session: Session, owner: User, template_id: UUID) -> None:
    """Mark a template of `owner` as deleted; workflows created from it stay. Raises `NotFound`."""
    _locked(session, owner, template_id).deleted_at = func.now()
    session.flush()
    storage.freed(session, [owner.id])


def undelete(session: Session, owner: User, template_id: UUID) -> Template:
    """Restore a template that `owner` deleted in the last ten minutes, published as it was.

    Raises `NotFound`, also later, and `TemplateLimitReached` or `StorageLimitReached` if there is no room for it any
    more. A template that was not deleted is returned as it is.
    """
    lock_user(session, owner.id)  # before the template, as in `create`
    deleted = select(Template).where(
        Template.id == template_id,
        Template.owner_id == owner.id,
        Template.deleted_at > func.now() - UNDO_DELETION,
    )
    template = session.scalar(deleted.with_for_update().execution_options(populate_existing=True))
    if template is not None:
        _check_number(session, owner)
        template.deleted_at = None
        session.flush()
        storage.freed(session, [owner.id])  # measured again, because it counts again
        storage.require_room(session, owner)
    return get(session, owner, template_id)


def instantiate(session: Session, owner: User, template_id: UUID, *, name: str | None = None) -> Workflow:
    """Create a workflow of `owner` from a template; raises `NotFound` and the errors of `workflows.create`."""
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
    """Whether a template is in the gallery, or the viewer's own, and not deleted."""
    verified = exists().where(User.id == Template.owner_id, User.email_verified_at.is_not(None))
    in_gallery = Template.published & or_(Template.owner_id.is_(None), verified)
    return and_(Template.deleted_at.is_(None), or_(in_gallery, Template.owner_id == viewer.id))


def _check_number(session: Session, owner: User) -> None:
    """Raise `TemplateLimitReached` if `owner`, who is locked, has as many as are allowed."""
    owned = select(func.count()).where(Template.owner_id == owner.id, Template.deleted_at.is_(None))
    if session.execute(owned).scalar_one() >= MAX_OWNED:
        raise TemplateLimitReached


def _locked(session: Session, owner: User, template_id: UUID) -> Template:
    owned = (Template.id == template_id, Template.owner_id == owner.id, Template.deleted_at.is_(None))
    query = select(Template).where(*owned).with_for_update()
    template = session.scalar(query.execution_options(populate_existing=True))
    if template is None:
        raise NotFound("template")
    return template


def _require_publishable(owner: User, template: Template) -> None:
    if not template.published:
        return
    if owner.email_verified_at is None:
        raise EmailNotVerified
    if template.unpublished_at is not None:
        raise TemplateUnpublished
    if template.problems:
        raise saved_versions.InvalidGraph(field_errors(template.problems), wanted="template cannot be published")
    if errors := private_parts(template.graph):
        raise NotPublishable(errors[:50])
