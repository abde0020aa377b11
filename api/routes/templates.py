"""The gallery of workflows to start from."""

from uuid import UUID

from flask import Blueprint, Response, url_for
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, show
from api.idempotency import idempotent
from api.openapi import TIER_LIMITS, Page, describes
from api.paging import page, page_query
from api.schemas.templates import CategoryOut, InstantiateIn, TemplateIn, TemplateOut, TemplatesQuery, TemplateUpdateIn
from api.schemas.workflows import WorkflowOut
from api.session import db
from models.services import templates

bp = Blueprint("templates", __name__, url_prefix="/templates")


@bp.get("")
@signed_in
@describes(answers=Page("templates", TemplateOut), asks=TemplatesQuery)
def index() -> ResponseReturnValue:
    """The published templates and the caller's own."""
    args = page_query(TemplatesQuery)
    rows = templates.list_visible(db(), current_user(), **args)
    return page("templates", show(TemplateOut, rows, many=True), rows, args)


@bp.get("/categories")
@signed_in
@describes(answers={"categories": [CategoryOut]})
def categories() -> ResponseReturnValue:
    """The categories of the gallery, each with the number of its templates."""
    counts = templates.categories(db(), current_user())
    return {"categories": [{"name": name, "count": count} for name, count in counts.items()]}


@bp.post("")
@signed_in
@idempotent
@describes(
    answers={"template": TemplateOut},
    status=201,
    takes=TemplateIn,
    refuses=("invalid_graph", "template_limit_reached", "storage_limit_reached"),
    headers=("Location",),
)
def create() -> ResponseReturnValue:
    """Keep a graph as a template of one's own."""
    template = templates.create(db(), current_user(), **body(TemplateIn))
    address = url_for("templates.get", template_id=template.id)
    return {"template": show(TemplateOut, template)}, 201, {"Location": address}


@bp.get("/<uuid:template_id>")
@signed_in
@describes(answers={"template": TemplateOut})
def get(template_id: UUID) -> ResponseReturnValue:
    """One template."""
    return {"template": show(TemplateOut, templates.get(db(), current_user(), template_id))}


@bp.put("/<uuid:template_id>")
@signed_in
@describes(
    answers={"template": TemplateOut}, takes=TemplateUpdateIn, refuses=("invalid_graph", "storage_limit_reached")
)
def update(template_id: UUID) -> ResponseReturnValue:
    """Change, publish or withdraw a template of one's own."""
    template = templates.change(db(), current_user(), template_id, **body(TemplateUpdateIn))
    return {"template": show(TemplateOut, template)}


@bp.delete("/<uuid:template_id>")
@signed_in
@describes()
def delete(template_id: UUID) -> ResponseReturnValue:
    """Take a template of one's own away; workflows made from it stay."""
    templates.delete(db(), current_user(), template_id)
    return Response(status=204)


@bp.post("/<uuid:template_id>/instantiate")
@signed_in
@idempotent
@describes(
    answers={"workflow": WorkflowOut},
    status=201,
    takes=InstantiateIn,
    optional=True,
    refuses=TIER_LIMITS,
    headers=("Location",),
)
def instantiate(template_id: UUID) -> ResponseReturnValue:
    """A workflow of one's own, made from a template."""
    workflow = templates.instantiate(db(), current_user(), template_id, **body(InstantiateIn, optional=True))
    address = url_for("workflows.get", workflow_id=workflow.id)
    return {"workflow": show(WorkflowOut, workflow)}, 201, {"Location": address}
