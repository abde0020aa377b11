"""The gallery of templates for workflows."""

from uuid import UUID

from flask import Blueprint, Response, url_for
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.paging import page, page_query
from api.http.parsing import body, show
from api.http.session import db, reads_replica
from api.jobs.idempotency import idempotent
from api.limits.heavy import heavy
from api.openapi import TIER_LIMITS, Page, describes
from api.routes.workflows.preconditions import shown_with_tag
from api.schemas.accounts.accounts import NothingIn
from api.schemas.workflows.templates import (
    CategoryOut,
    InstantiateIn,
    TemplateIn,
    TemplateOut,
    TemplateReportIn,
    TemplatesQuery,
    TemplateUpdateIn,
)
from api.schemas.workflows.workflows import WorkflowOut
from models.services.workflows import template_reports, templates

bp = Blueprint("templates", __name__, url_prefix="/templates")


@bp.get("")
@signed_in
@describes(response=Page("templates", TemplateOut), query=TemplatesQuery)
@reads_replica
def index() -> ResponseReturnValue:
    """List the published templates of verified users and the caller's own; those of the service come first."""
    args = page_query(TemplatesQuery)
    rows = templates.list_visible(db(), current_user(), **args)
    return page("templates", show(TemplateOut, rows, many=True), rows, args)


@bp.get("/categories")
@signed_in
@describes(response={"categories": [CategoryOut]})
def categories() -> ResponseReturnValue:
    """List the categories of the gallery with the number of templates in each."""
    counts = templates.categories(db(), current_user())
    return {"categories": [{"name": name, "count": count} for name, count in counts.items()]}


@bp.post("")
@signed_in
@heavy
@idempotent
@describes(
    response={"template": TemplateOut},
    status=201,
    body=TemplateIn,
    errors=(
        "invalid_graph",
        "node_limit_reached",
        "template_limit_reached",
        "storage_limit_reached",
        "email_not_verified",
    ),
    headers=("Location",),
)
def create() -> ResponseReturnValue:
    """Save a graph as a template of the caller."""
    template = templates.create(db(), current_user(), **body(TemplateIn))
    address = url_for("templates.get", template_id=template.id)
    return {"template": show(TemplateOut, template)}, 201, {"Location": address}


@bp.get("/<uuid:template_id>")
@signed_in
@describes(response={"template": TemplateOut})
def get(template_id: UUID) -> ResponseReturnValue:
    """Get a template."""
    return {"template": show(TemplateOut, templates.get(db(), current_user(), template_id))}


@bp.put("/<uuid:template_id>")
@signed_in
@heavy
@describes(
    response={"template": TemplateOut},
    body=TemplateUpdateIn,
    errors=(
        "invalid_graph",
        "node_limit_reached",
        "storage_limit_reached",
        "email_not_verified",
        "template_unpublished",
    ),
)
def update(template_id: UUID) -> ResponseReturnValue:
    """Change, publish or unpublish a template of the caller."""
    template = templates.change(db(), current_user(), template_id, **body(TemplateUpdateIn))
    return {"template": show(TemplateOut, template)}


@bp.delete("/<uuid:template_id>")
@signed_in
@describes()
def delete(template_id: UUID) -> ResponseReturnValue:
    """Delete a template of the caller; workflows created from it stay."""
    templates.delete(db(), current_user(), template_id)
    return Response(status=204)


@bp.post("/<uuid:template_id>/undelete")
@signed_in
@describes(
    response={"template": TemplateOut},
    body=NothingIn,
    optional=True,
    errors=("template_limit_reached", "storage_limit_reached"),
)
def undelete(template_id: UUID) -> ResponseReturnValue:
    """Restore a template of the caller that was deleted in the last ten minutes."""
    body(NothingIn, optional=True)
    return {"template": show(TemplateOut, templates.undelete(db(), current_user(), template_id))}


@bp.post("/<uuid:template_id>/instantiate")
@signed_in
@idempotent
@describes(
    response={"workflow": WorkflowOut},
    status=201,
    body=InstantiateIn,
    optional=True,
    errors=TIER_LIMITS,
    headers=("ETag", "Location"),
)
def instantiate(template_id: UUID) -> ResponseReturnValue:
    """Create a workflow from a template."""
    workflow = templates.instantiate(db(), current_user(), template_id, **body(InstantiateIn, optional=True))
    address = url_for("workflows.get", workflow_id=workflow.id)
    shown, tag = shown_with_tag(workflow)
    return shown, 201, {"Location": address, **tag}


@bp.post("/<uuid:template_id>/report")
@signed_in
@describes(body=TemplateReportIn, errors=("own_template",))
def report(template_id: UUID) -> ResponseReturnValue:
    """Report a published template to administrators; once per template, at most 20 a day."""
    template_reports.report(db(), current_user(), template_id, **body(TemplateReportIn))
    return Response(status=204)
