"""Changes of many runs at once; each run has an outcome of its own."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.paging import cursor_after, position_of
from api.http.parsing import body
from api.http.session import db
from api.jobs.idempotency import idempotent
from api.openapi import describes
from api.schemas.base import String
from api.schemas.executions.bulk import BulkCancelIn, BulkOutcomeOut, BulkRetryIn
from models.services.executions import bulk, retries
from models.services.executions.bulk import BulkOutcome
from tasks.queue import enqueue_new_run, enqueue_run, target_of

bp = Blueprint("bulk_executions", __name__, url_prefix="/executions")

RESULTS = {"results": [BulkOutcomeOut], "nextCursor": String(allow_none=True)}


@bp.post("/cancel")
@signed_in
@describes(response=RESULTS, body=BulkCancelIn, errors=("not_found",))
def cancel() -> ResponseReturnValue:
    """Cancel up to 100 runs, by their ids or by a filter, which finds runs that have not ended."""
    ids, cursor = _chosen(body(BulkCancelIn), bulk.CANCELLABLE)
    outcomes = bulk.cancel(db(), current_user(), ids)
    for run in (outcome.run for outcome in outcomes if outcome.run):
        enqueue_run(db(), target_of(run))
    return {"results": [_shown(outcome) for outcome in outcomes], "nextCursor": cursor}


@bp.post("/retry")
@signed_in
@idempotent
@describes(response=RESULTS, body=BulkRetryIn, errors=("not_found",))
def retry() -> ResponseReturnValue:
    """Retry up to 100 runs, by their ids or by a filter, which finds runs that failed or were cancelled."""
    args = body(BulkRetryIn)
    ids, cursor = _chosen(args, retries.RETRIED)
    limits = current_app.extensions["settings"].run_limits
    outcomes = bulk.retry(db(), current_user(), ids, **args, limits=limits)
    for run in (outcome.run for outcome in outcomes if outcome.run):
        enqueue_new_run(db(), run)
    return {"results": [_shown(outcome) for outcome in outcomes], "nextCursor": cursor}


def _chosen(args: dict[str, Any], among: Any) -> tuple[Sequence[UUID], str | None]:
    """The ids of the request, or those that its filter finds with the cursor of the next ones; removes both."""
    ids, filters = args.pop("ids"), args.pop("filter")
    if ids is not None:
        return ids, None
    after = cursor_after(filters.pop("cursor"))
    runs = bulk.matching(db(), current_user(), among, **filters, after=after)
    return [run.id for run in runs], position_of(runs[-1]) if len(runs) == bulk.MAX_RUNS else None


def _shown(outcome: BulkOutcome) -> dict[str, Any]:
    run, refusal = outcome.run, outcome.refusal
    return {
        "id": outcome.execution_id,
        "accepted": refusal is None,
        "status": run and run.status,
        "executionId": run.id if run and run.id != outcome.execution_id else None,
        "code": refusal and refusal.code,
        "message": refusal and refusal.detail,
    }
