"""The versions of a workflow, each of which can be restored."""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.paging import page, page_query
from api.http.parsing import body, show
from api.http.session import db, reads_replica
from api.openapi import CONDITIONAL, TIER_LIMITS, Page, describes
from api.routes.workflows.preconditions import require_match, shown_with_tag
from api.schemas.accounts.accounts import NothingIn
from api.schemas.base import PageQuery
from api.schemas.workflows.differences import VersionDifferenceOut
from api.schemas.workflows.workflows import VersionDetailOut, VersionOut, WorkflowOut
from models.services.workflows import workflow_versions

bp = Blueprint("workflow_versions", __name__, url_prefix="/workflows/<uuid:workflow_id>/versions")


@bp.get("")
@signed_in
@describes(response=Page("versions", VersionOut), query=PageQuery)
@reads_replica
def index(workflow_id: UUID) -> ResponseReturnValue:
    """List the versions of a workflow, newest first."""
    args = page_query(PageQuery)
    rows = workflow_versions.list_of(db(), current_user(), workflow_id, **args)
    return page("versions", show(VersionOut, rows, many=True), rows, args)


@bp.get("/<int:number>")
@signed_in
@describes(response={"version": VersionDetailOut})
def get(workflow_id: UUID, number: int) -> ResponseReturnValue:
    """Get a version of a workflow with its graph."""
    return {"version": show(VersionDetailOut, workflow_versions.get(db(), current_user(), workflow_id, number))}


@bp.get("/<int:number>/diff/<int:other>")
@signed_in
@describes(response=VersionDifferenceOut)
def diff(workflow_id: UUID, number: int, other: int) -> ResponseReturnValue:
    """Get what changed from one version of a workflow to another."""
    found = workflow_versions.compare(db(), current_user(), workflow_id, number, other)
    return show(VersionDifferenceOut, {**vars(found.graph), **vars(found)})


@bp.post("/<int:number>/restore")
@signed_in
@describes(
    response={"workflow": WorkflowOut},
    body=NothingIn,
    optional=True,
    errors=("invalid_graph", *TIER_LIMITS, *CONDITIONAL),
    headers=("ETag",),
)
def restore(workflow_id: UUID, number: int) -> ResponseReturnValue:
    """Restore an earlier version: its graph becomes the newest version."""
    body(NothingIn, optional=True)
    require_match(workflow_id)
    return shown_with_tag(workflow_versions.restore(db(), current_user(), workflow_id, number))
