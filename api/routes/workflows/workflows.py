"""The caller's workflows: saved, validated and run."""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app, url_for
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_credential, current_user, signed_in
from api.http.paging import page, page_query
from api.http.parsing import body, query, show
from api.http.responses import accepted, unless_known
from api.http.session import db, reads_replica
from api.http.wait import Read, Waits, in_own_thread
from api.jobs.idempotency import idempotent
from api.jobs.submissions import insert_together
from api.limits.heavy import heavy
from api.openapi import CONDITIONAL, LOCATED, TIER_LIMITS, Page, describes
from api.routes.workflows.preconditions import require_match, shown_with_tag, tag_of
from api.schemas.accounts.accounts import NothingIn
from api.schemas.executions.executions import AcceptedOut, ExecutionOut
from api.schemas.executions.queries import ExecutionsQuery
from api.schemas.workflows.workflow_metrics import MetricsOut, MetricsQuery
from api.schemas.workflows.workflows import (
    ExecuteIn,
    ReportOut,
    ValidateIn,
    WorkflowIn,
    WorkflowOut,
    WorkflowsQuery,
    WorkflowUpdateIn,
)
from models.services.executions import executions
from models.services.workflows import undeletion, workflow_metrics, workflows
from models.tables import Execution
from tasks.queue import enqueue_new_run, publish_new_run

bp = Blueprint("workflows", __name__, url_prefix="/workflows")


@bp.get("")
@signed_in
@describes(response=Page("workflows", WorkflowOut), query=WorkflowsQuery)
@reads_replica
def index() -> ResponseReturnValue:
    """List the caller's workflows, newest first."""
    args = page_query(WorkflowsQuery)
    rows = workflows.list_owned(db(), current_user(), **args)
    return page("workflows", show(WorkflowOut, rows, many=True), rows, args)


@bp.post("")
@signed_in
@heavy
@idempotent
@describes(
    response={"workflow": WorkflowOut},
    status=201,
    body=WorkflowIn,
    errors=("invalid_graph", *TIER_LIMITS),
    headers=("ETag", "Location"),
)
def create() -> ResponseReturnValue:
    """Save a new workflow."""
    workflow = workflows.create(db(), current_user(), **body(WorkflowIn))
    address = url_for("workflows.get", workflow_id=workflow.id)
    shown, tag = shown_with_tag(workflow)
    return shown, 201, {"Location": address, **tag}


@bp.post("/validate")
@signed_in
@heavy
@describes(response=ReportOut, body=ValidateIn, errors=("node_limit_reached",))
def validate() -> ResponseReturnValue:
    """Validate a graph, and compute the most that a run of it may cost."""
    return show(ReportOut, workflows.validate(db(), current_user(), body(ValidateIn)["graph"]))


@bp.get("/<uuid:workflow_id>")
@signed_in
@describes(response={"workflow": WorkflowOut}, other_responses={304: None}, headers=("ETag",))
def get(workflow_id: UUID) -> ResponseReturnValue:
    """Get a workflow with its newest graph."""
    workflow = workflows.get(db(), current_user(), workflow_id)
    shown = show(WorkflowOut, workflow)
    return unless_known(tag_of(workflow, shown), lambda: {"workflow": shown}, weak=False)


@bp.put("/<uuid:workflow_id>")
@signed_in
@heavy
@describes(
    response={"workflow": WorkflowOut},
    body=WorkflowUpdateIn,
    errors=("invalid_graph", *TIER_LIMITS, *CONDITIONAL),
    headers=("ETag",),
)
def update(workflow_id: UUID) -> ResponseReturnValue:
    """Change a workflow; another graph makes a new version. With `If-Match`, 412 if it was changed meanwhile."""
    changes = body(WorkflowUpdateIn)
    require_match(workflow_id)
    editor = current_credential() if changes.pop("autosave") else None
    return shown_with_tag(workflows.update(db(), current_user(), workflow_id, **changes, editor=editor))


@bp.delete("/<uuid:workflow_id>")
@signed_in
@describes(errors=CONDITIONAL)
def delete(workflow_id: UUID) -> ResponseReturnValue:
    """Delete a workflow with the history of its ended runs; their receipts stay."""
    require_match(workflow_id)
    workflows.delete(db(), current_user(), workflow_id)
    return Response(status=204)


@bp.post("/<uuid:workflow_id>/undelete")
@signed_in
@describes(
    response={"workflow": WorkflowOut},
    body=NothingIn,
    optional=True,
    errors=("not_found", *TIER_LIMITS),
    headers=("ETag",),
)
def undelete(workflow_id: UUID) -> ResponseReturnValue:
    """Restore a workflow that was deleted in the last ten minutes, with the history of its runs."""
    body(NothingIn, optional=True)
    return shown_with_tag(undeletion.undelete(db(), current_user(), workflow_id))


@bp.post("/<uuid:workflow_id>/execute")
@signed_in
@idempotent
@describes(
    response=AcceptedOut,
    status=202,
    body=ExecuteIn,
    optional=True,
    errors=(
        *("invalid_graph", "insufficient_credits", "api_call_limit_reached", "pending_run_limit_reached"),
        *TIER_LIMITS,
    ),
    headers=LOCATED,
)
def execute(workflow_id: UUID) -> ResponseReturnValue:
    """Start a run of the workflow; 202, because a worker drives it."""
    args = body(ExecuteIn, optional=True, lenient=True)
    args["limits"] = current_app.extensions["settings"].run_limits
    if db().in_transaction():  # with an Idempotency-Key: the run belongs to the transaction of its response
        return _submitted(workflow_id, args)
    return _submit_with_others(workflow_id, args)  # type: ignore[return-value]  # `App` takes pauses


def _submit_with_others(workflow_id: UUID, args: dict[str, Any]) -> Waits[ResponseReturnValue]:
    """Insert the run together with those that others submit at the moment, if it is ready."""
    run: Execution | None = None
    if args["max_credits"] is None:
        run = yield Read(insert_together, executions.prepare(current_user(), workflow_id, **args))
    if run is None:
        yield in_own_thread()  # to look closer takes longer, and may have to wait for somebody who saves the workflow
        return _submitted(workflow_id, args)
    publish_new_run(run)
    return accepted(run)


def _submitted(workflow_id: UUID, args: dict[str, Any]) -> ResponseReturnValue:
    execution = executions.submit(db(), current_user(), workflow_id, **args)
    enqueue_new_run(db(), execution)
    return accepted(execution)


@bp.get("/<uuid:workflow_id>/metrics")
@signed_in
@describes(response=MetricsOut, query=MetricsQuery)
@reads_replica
def metrics(workflow_id: UUID) -> ResponseReturnValue:
    """Get metrics of a workflow's recent runs."""
    found = workflow_metrics.metrics(db(), current_user(), workflow_id, **query(MetricsQuery))
    return show(MetricsOut, found)


@bp.get("/<uuid:workflow_id>/executions")
@signed_in
@describes(response=Page("executions", ExecutionOut), query=ExecutionsQuery)
@reads_replica
def runs(workflow_id: UUID) -> ResponseReturnValue:
    """List the runs of a workflow, newest first."""
    args = page_query(ExecutionsQuery)
    rows = executions.list_owned(db(), current_user(), workflow_id=workflow_id, **args)
    return page("executions", show(ExecutionOut, rows, many=True), rows, args)
