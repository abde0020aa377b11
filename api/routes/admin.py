"""For administrators: what reconciliation found, how the queues are, and the events that nobody could handle.

To everybody else these addresses do not exist.
"""

from uuid import UUID

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, query, show
from api.dead_letters import revive
from api.openapi import Page, describes
from api.paging import page, page_query
from api.queues import queues_and_workers
from api.routes import admin_users
from api.schemas.admin import (
    BusyWorkerOut,
    DeadLetterOut,
    FindingOut,
    QueueOut,
    ReconciliationOut,
    RevivedOut,
    ReviveIn,
    RunsQuery,
)
from api.schemas.base import PageQuery, Word
from api.schemas.operations import STATES
from api.session import db
from models.errors import NotFound
from models.services import quarantine, reconciliation
from models.user import Role

REVIVAL = ("conflict", "confirmation_required", "insufficient_credits", "not_retryable")

bp = Blueprint("admin", __name__, url_prefix="/admin")
bp.register_blueprint(admin_users.bp)  # behind the same guard


@bp.before_request
@signed_in
def administrators_only() -> None:
    """For every route in here, so that none can forget it."""
    if current_user().role is not Role.ADMIN:
        raise NotFound("address")


@bp.get("/reconciliations")
@describes(answers=Page("reconciliations", ReconciliationOut), asks=RunsQuery)
def reconciliations() -> ResponseReturnValue:
    """Runs, the newest first."""
    args = page_query(RunsQuery)
    rows = reconciliation.runs(db(), **args)
    return page("reconciliations", show(ReconciliationOut, rows, many=True), rows, args)


@bp.get("/reconciliations/<uuid:run_id>")
@describes(answers={"reconciliation": ReconciliationOut, "findings": [FindingOut]})
def reconciliation_run(run_id: UUID) -> ResponseReturnValue:
    """One run with what it found."""
    run = reconciliation.run(db(), run_id)
    findings = reconciliation.findings(db(), run_id)
    return {"reconciliation": show(ReconciliationOut, run), "findings": show(FindingOut, findings, many=True)}


@bp.get("/queues")
@describes(answers={"beat": Word(STATES), "queues": [QueueOut], "workers": [BusyWorkerOut]})
def queues() -> ResponseReturnValue:
    """What waits in front of each queue and how long, and who works it off."""
    return queues_and_workers(db(), current_app.extensions["broker"].lengths())


@bp.get("/dead-letters")
@describes(answers=Page("deadLetters", DeadLetterOut, has_cursor=False), asks=PageQuery)
def dead_letters() -> ResponseReturnValue:
    """Events that were given up and runs that took their workers down, the newest first, each with its reason."""
    args = query(PageQuery)
    rows = quarantine.letters(db(), limit=args["limit"], offset=args["offset"])
    letters = show(DeadLetterOut, rows, many=True)
    return {"deadLetters": letters, "count": len(rows), "limit": args["limit"], "offset": args["offset"]}


@bp.post("/dead-letters/<letter_id>/retry")
@describes(answers=RevivedOut, status=202, takes=ReviveIn, optional=True, refuses=REVIVAL)
def retry_dead_letter(letter_id: str) -> ResponseReturnValue:
    """Let an event be tried afresh, or a run from where it was."""
    return revive(letter_id, **body(ReviveIn, optional=True)), 202
