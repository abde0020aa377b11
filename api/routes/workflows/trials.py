"""Trials of single nodes of a workflow."""

from uuid import UUID

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.parsing import body
from api.http.responses import accepted
from api.http.session import db
from api.jobs.idempotency import idempotent
from api.limits.heavy import heavy
from api.openapi import LOCATED, TIER_LIMITS, describes
from api.schemas.executions.executions import AcceptedOut
from api.schemas.workflows.trials import TrialIn
from models.services.steps import trials
from tasks.queue import enqueue_new_run

bp = Blueprint("trials", __name__, url_prefix="/workflows/<uuid:workflow_id>/nodes/<node_id>")

ERRORS = ("invalid_graph", "node_not_triable", "insufficient_credits")
LIMITS = ("api_call_limit_reached", "pending_run_limit_reached", *TIER_LIMITS)


@bp.post("/try")
@signed_in
@heavy
@idempotent
@describes(response=AcceptedOut, status=202, body=TrialIn, optional=True, errors=(*ERRORS, *LIMITS), headers=LOCATED)
def start(workflow_id: UUID, node_id: str) -> ResponseReturnValue:
    """Run one node alone, with pinned data in place of the nodes before it; it is paid like every other run."""
    limits = current_app.extensions["settings"].run_limits
    execution = trials.submit(db(), current_user(), workflow_id, node_id, **body(TrialIn, optional=True), limits=limits)
    enqueue_new_run(db(), execution)
    return accepted(execution)
