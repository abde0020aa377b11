"""What a workflow was before: its versions, each of which can be brought back."""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, show
from api.openapi import TIER_LIMITS, Page, describes
from api.paging import page, page_query
from api.schemas.accounts import NothingIn
from api.schemas.base import PageQuery
from api.schemas.workflows import VersionDetailOut, VersionOut, WorkflowOut
from api.session import db
from models.services import workflow_versions

bp = Blueprint("workflow_versions", __name__, url_prefix="/workflows/<uuid:workflow_id>/versions")


@bp.get("")
@signed_in
@describes(answers=Page("versions", VersionOut), asks=PageQuery)
def index(workflow_id: UUID) -> ResponseReturnValue:
    """The versions of a workflow, newest first."""
    args = page_query(PageQuery)
    rows = workflow_versions.list_of(db(), current_user(), workflow_id, **args)
    return page("versions", show(VersionOut, rows, many=True), rows, args)


@bp.get("/<int:number>")
@signed_in
@describes(answers={"version": VersionDetailOut})
def get(workflow_id: UUID, number: int) -> ResponseReturnValue:
    """One version with its graph."""
    return {"version": show(VersionDetailOut, workflow_versions.get(db(), current_user(), workflow_id, number))}


@bp.post("/<int:number>/restore")
@signed_in
@describes(answers={"workflow": WorkflowOut}, takes=NothingIn, optional=True, refuses=("invalid_graph", *TIER_LIMITS))
def restore(workflow_id: UUID, number: int) -> ResponseReturnValue:
    """Make the graph of an old version the newest again."""
    body(NothingIn, optional=True)
    return {"workflow": show(WorkflowOut, workflow_versions.restore(db(), current_user(), workflow_id, number))}
