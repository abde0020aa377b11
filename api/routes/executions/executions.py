"""Runs of workflows."""

from uuid import UUID

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.paging import page_query, receipt_lines_page, receipt_lines_query
from api.http.parsing import body, query, show
from api.http.responses import accepted
from api.http.session import db
from api.jobs.idempotency import idempotent
from api.live.event_stream import last_event_id, stream
from api.live.long_poll import poll, poll_list
from api.live.run_heads import head
from api.openapi import LOCATED, TIER_LIMITS, Page, describes
from api.schemas.accounts.accounts import NothingIn
from api.schemas.executions.executions import (
    ApprovalIn,
    EventOut,
    ExecutionOut,
    FullExecutionOut,
    LogOut,
    LogsOut,
    ReceiptLineOut,
    ReceiptPageOut,
    ResumeIn,
    RetriedOut,
    RetryIn,
)
from api.schemas.executions.long_poll import EventsQuery, ExecutionListQuery, ExecutionQuery
from api.schemas.executions.queries import LogsQuery, ReceiptLinesQuery
from models.services.executions import approvals, executions, receipt_pages, retries
from tasks.queue import enqueue_new_run, enqueue_run, target_of

RETRY_ERRORS = (
    "invalid_graph",
    "history_expired",
    "not_retryable",
    "confirmation_required",
    "insufficient_credits",
    "api_call_limit_reached",
    "pending_run_limit_reached",
    *TIER_LIMITS,
)

EXPIRED_ERRORS = ("history_expired",)

bp = Blueprint("executions", __name__, url_prefix="/executions")


@bp.get("")
@signed_in
@describes(
    response=Page("executions", ExecutionOut),
    query=ExecutionListQuery,
    other_responses={304: None},
    headers=("ETag",),
    errors=("not_found",),
)
def index() -> ResponseReturnValue:
    """List the caller's runs, newest first. With `ids` and `wait` the response comes once one of these runs changes."""
    return poll_list(**page_query(ExecutionListQuery))  # type: ignore[return-value]  # `App` takes pauses


@bp.get("/<uuid:execution_id>")
@signed_in
@describes(
    response=FullExecutionOut,
    query=ExecutionQuery,
    other_responses={304: None},
    headers=("ETag",),
    errors=EXPIRED_ERRORS,
)
def get(execution_id: UUID) -> ResponseReturnValue:
    """Get a run with the state of each node and its receipt. With `wait` the response comes once the run changes."""
    return poll(execution_id, **query(ExecutionQuery))  # type: ignore[return-value]  # `App` takes pauses


@bp.get("/<uuid:execution_id>/receipt")
@signed_in
@describes(response=ReceiptPageOut, query=ReceiptLinesQuery)
def receipt(execution_id: UUID) -> ResponseReturnValue:
    """Get the receipt of a run and a page of its charges. The receipt stays when the run's history is removed."""
    args = receipt_lines_query(ReceiptLinesQuery)
    found = receipt_pages.receipt_page(db(), current_user(), execution_id, **args)
    page = receipt_lines_page(show(ReceiptLineOut, found.lines, many=True), found.lines, args)
    return {"executionId": execution_id, **found.receipt, "linesExpired": found.lines_expired, **page}


@bp.get("/<uuid:execution_id>/logs")
@signed_in
@describes(response=LogsOut, query=LogsQuery, errors=EXPIRED_ERRORS)
def logs(execution_id: UUID) -> ResponseReturnValue:
    """List the log of a run, oldest first. To continue, send the last `seq` as `after`."""
    args = query(LogsQuery)
    rows = executions.logs(db(), current_user(), execution_id, **args)
    return {"logs": show(LogOut, rows, many=True), "count": len(rows), **args}


@bp.get("/<uuid:execution_id>/events")
@signed_in
@describes(
    response=EventOut, query=EventsQuery, media="text/event-stream", other_responses={204: None}, errors=EXPIRED_ERRORS
)
def events(execution_id: UUID) -> ResponseReturnValue:
    """Stream the log of a run as server-sent events, from the one after `Last-Event-ID`."""
    after = last_event_id()
    return stream(current_user(), head(db(), current_user(), execution_id).snapshot.run, after)


@bp.post("/<uuid:execution_id>/cancel")
@signed_in
@describes(
    response=ExecutionOut, status=202, body=NothingIn, optional=True, errors=("already_finished", *EXPIRED_ERRORS)
)
def cancel(execution_id: UUID) -> ResponseReturnValue:
    """Cancel a run. Its worker stops it soon after."""
    body(NothingIn, optional=True)
    execution = executions.request_cancel(db(), current_user(), execution_id)
    enqueue_run(db(), target_of(execution))
    return show(ExecutionOut, execution), 202


@bp.post("/<uuid:execution_id>/resume")
@signed_in
@describes(
    response=ExecutionOut,
    status=202,
    body=ResumeIn,
    errors=("insufficient_credits", "nothing_to_approve", *EXPIRED_ERRORS),
)
def resume(execution_id: UUID) -> ResponseReturnValue:
    """Resume a run that waits because it used up its credits, with a higher limit."""
    execution = approvals.resume(db(), current_user(), execution_id, **body(ResumeIn))
    enqueue_run(db(), target_of(execution))
    return show(ExecutionOut, execution), 202


@bp.post("/<uuid:execution_id>/approvals/<node_id>")
@signed_in
@describes(response=ExecutionOut, status=202, body=ApprovalIn, errors=("nothing_to_approve", *EXPIRED_ERRORS))
def approve(execution_id: UUID, node_id: str) -> ResponseReturnValue:
    """Approve or reject a run that waits for approval at a node."""
    execution = approvals.approve(db(), current_user(), execution_id, node_id, **body(ApprovalIn))
    enqueue_run(db(), target_of(execution))
    return show(ExecutionOut, execution), 202


@bp.post("/<uuid:execution_id>/retry")
@signed_in
@idempotent
@describes(response=RetriedOut, status=202, body=RetryIn, optional=True, errors=RETRY_ERRORS, headers=LOCATED)
def retry(execution_id: UUID) -> ResponseReturnValue:
    """Retry a run from where it failed, reusing the results of finished nodes."""
    limits = current_app.extensions["settings"].run_limits
    retried = retries.retry(db(), current_user(), execution_id, **body(RetryIn, optional=True), limits=limits)
    execution = retried.execution
    enqueue_new_run(db(), execution)
    return accepted(execution, saved={"nodes": retried.nodes, "credits": retried.credits})
