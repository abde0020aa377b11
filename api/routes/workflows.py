"""Workflows: saved, linted, run."""

from uuid import UUID

from flask import Blueprint, Response, current_app, url_for
from flask.typing import ResponseReturnValue

from api.answers import accepted
from api.auth import current_user, signed_in
from api.bells import ring
from api.bodies import body, query, show
from api.idempotency import idempotent
from api.openapi import LOCATED, TIER_LIMITS, Page, describes
from api.paging import page, page_query
from api.schemas.executions import AcceptedOut, ExecutionOut, ExecutionsQuery
from api.schemas.workflow_metrics import MetricsOut, MetricsQuery
from api.schemas.workflows import (
    ExecuteIn,
    ReportOut,
    ValidateIn,
    WorkflowIn,
    WorkflowOut,
    WorkflowsQuery,
    WorkflowUpdateIn,
)
from api.session import db
from models.services import executions, workflow_metrics, workflows

bp = Blueprint("workflows", __name__, url_prefix="/workflows")


@bp.get("")
@signed_in
@describes(answers=Page("workflows", WorkflowOut), asks=WorkflowsQuery)
def index() -> ResponseReturnValue:
    """The caller's workflows, newest first."""
    args = page_query(WorkflowsQuery)
    rows = workflows.list_owned(db(), current_user(), **args)
    return page("workflows", show(WorkflowOut, rows, many=True), rows, args)


@bp.post("")
@signed_in
@idempotent
@describes(
    answers={"workflow": WorkflowOut},
    status=201,
    takes=WorkflowIn,
    refuses=("invalid_graph", *TIER_LIMITS),
    headers=("Location",),
)
def create() -> ResponseReturnValue:
    """Save a new workflow."""
    workflow = workflows.create(db(), current_user(), **body(WorkflowIn))
    address = url_for("workflows.get", workflow_id=workflow.id)
    return {"workflow": show(WorkflowOut, workflow)}, 201, {"Location": address}


@bp.post("/validate")
@signed_in
@describes(answers=ReportOut, takes=ValidateIn)
def validate() -> ResponseReturnValue:
    """Say what is wrong with a graph, and what it may cost at most."""
    return show(ReportOut, workflows.validate(db(), current_user(), body(ValidateIn)["graph"]))


@bp.get("/<uuid:workflow_id>")
@signed_in
@describes(answers={"workflow": WorkflowOut})
def get(workflow_id: UUID) -> ResponseReturnValue:
    """One workflow with its newest graph."""
    return {"workflow": show(WorkflowOut, workflows.get(db(), current_user(), workflow_id))}


@bp.put("/<uuid:workflow_id>")
@signed_in
@describes(answers={"workflow": WorkflowOut}, takes=WorkflowUpdateIn, refuses=("invalid_graph", *TIER_LIMITS))
def update(workflow_id: UUID) -> ResponseReturnValue:
    """Change a workflow; another graph is another version."""
    workflow = workflows.update(db(), current_user(), workflow_id, **body(WorkflowUpdateIn))
    return {"workflow": show(WorkflowOut, workflow)}


@bp.delete("/<uuid:workflow_id>")
@signed_in
@describes()
def delete(workflow_id: UUID) -> ResponseReturnValue:
    """Remove a workflow; its runs stay in the history."""
    workflows.delete(db(), current_user(), workflow_id)
    return Response(status=204)


@bp.post("/<uuid:workflow_id>/execute")
@signed_in
@idempotent
@describes(
    answers=AcceptedOut,
    status=202,
    takes=ExecuteIn,
    optional=True,
    refuses=("invalid_graph", "insufficient_credits", "api_call_limit_reached", *TIER_LIMITS),
    headers=LOCATED,
)
def execute(workflow_id: UUID) -> ResponseReturnValue:
    """Accept an execution; 202, because the work happens elsewhere."""
    args = body(ExecuteIn, optional=True)
    limits = current_app.extensions["settings"].run_limits
    execution = executions.submit(db(), current_user(), workflow_id, **args, limits=limits)
    ring(execution)
    return accepted(execution)


@bp.get("/<uuid:workflow_id>/metrics")
@signed_in
@describes(answers=MetricsOut, asks=MetricsQuery)
def metrics(workflow_id: UUID) -> ResponseReturnValue:
    """How a workflow's runs went lately."""
    found = workflow_metrics.metrics(db(), current_user(), workflow_id, **query(MetricsQuery))
    return show(MetricsOut, found)


@bp.get("/<uuid:workflow_id>/executions")
@signed_in
@describes(answers=Page("executions", ExecutionOut), asks=ExecutionsQuery)
def runs(workflow_id: UUID) -> ResponseReturnValue:
    """The runs of one workflow, newest first."""
    args = page_query(ExecutionsQuery)
    rows = executions.list_owned(db(), current_user(), workflow_id=workflow_id, **args)
    return page("executions", show(ExecutionOut, rows, many=True), rows, args)
