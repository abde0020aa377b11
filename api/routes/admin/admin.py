"""For administrators: reconciliation, queues and dead letters.

For all other callers these addresses do not exist.
"""

from uuid import UUID

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.paging import page, page_query
from api.http.parsing import body, query, show
from api.http.session import db
from api.openapi import Page, describes
from api.ops.dead_letters import retry
from api.ops.queues import queues_and_workers
from api.routes.admin import alerts, templates, users
from api.schemas.admin.admin import (
    BusyWorkerOut,
    DeadLetterOut,
    FindingOut,
    QueueOut,
    ReconciliationOut,
    RetriedDeadLetterOut,
    RetryDeadLetterIn,
    RunsQuery,
)
from api.schemas.base import EnumText, PageQuery
from api.schemas.operations import STATES
from models.errors import NotFound
from models.services.executions import dead_letters as quarantine
from models.services.reconciliation import reconciliation
from models.tables import Role

RETRY_ERRORS = ("invalid_graph", "conflict", "confirmation_required", "insufficient_credits", "not_retryable")

bp = Blueprint("admin", __name__, url_prefix="/admin")
for nested in (alerts.bp, users.bp, templates.bp):
    bp.register_blueprint(nested)  # behind the same guard


@bp.before_request
@signed_in
def administrators_only() -> None:
    """Respond with 404 to all but administrators, at every route of this blueprint and those nested in it."""
    if current_user().role is not Role.ADMIN:
        raise NotFound("address")


@bp.get("/reconciliations")
@describes(response=Page("reconciliations", ReconciliationOut), query=RunsQuery)
def reconciliations() -> ResponseReturnValue:
    """List runs of reconciliation, newest first."""
    args = page_query(RunsQuery)
    rows = reconciliation.runs(db(), **args)
    return page("reconciliations", show(ReconciliationOut, rows, many=True), rows, args)


@bp.get("/reconciliations/<uuid:run_id>")
@describes(response={"reconciliation": ReconciliationOut, "findings": [FindingOut]})
def reconciliation_run(run_id: UUID) -> ResponseReturnValue:
    """Get a run of reconciliation with its findings."""
    run = reconciliation.run(db(), run_id)
    findings = reconciliation.findings(db(), run_id)
    return {"reconciliation": show(ReconciliationOut, run), "findings": show(FindingOut, findings, many=True)}


@bp.get("/queues")
@describes(response={"beat": EnumText(STATES), "queues": [QueueOut], "workers": [BusyWorkerOut]})
def queues() -> ResponseReturnValue:
    """Get the length and age of each queue, and the workers that consume it."""
    return queues_and_workers(db(), current_app.extensions["broker"].lengths())


@bp.get("/dead-letters")
@describes(response=Page("deadLetters", DeadLetterOut, has_cursor=False), query=PageQuery)
def dead_letters() -> ResponseReturnValue:
    """List dead letters (events that failed too often, runs that crashed their workers), newest first, with reasons."""
    args = query(PageQuery)
    rows = quarantine.dead_letters(db(), limit=args["limit"], offset=args["offset"])
    letters = show(DeadLetterOut, rows, many=True)
    return {"deadLetters": letters, "count": len(rows), "limit": args["limit"], "offset": args["offset"]}


@bp.post("/dead-letters/<letter_id>/retry")
@describes(response=RetriedDeadLetterOut, status=202, body=RetryDeadLetterIn, optional=True, errors=RETRY_ERRORS)
def retry_dead_letter(letter_id: str) -> ResponseReturnValue:
    """Retry a dead letter: an event from the beginning, or a run from where it stopped."""
    return retry(letter_id, **body(RetryDeadLetterIn, optional=True)), 202
