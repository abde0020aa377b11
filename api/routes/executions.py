"""Runs: watched and stopped."""

from uuid import UUID

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.answers import accepted
from api.auth import current_user, signed_in
from api.bells import ring
from api.bodies import body, query, show
from api.idempotency import idempotent
from api.openapi import LOCATED, TIER_LIMITS, Page, describes
from api.paging import lines_page, lines_query, page_query
from api.schemas.accounts import NothingIn
from api.schemas.executions import (
    ApprovalIn,
    EventOut,
    ExecutionOut,
    LineOut,
    LinesQuery,
    LogOut,
    LogsOut,
    LogsQuery,
    ReceiptPageOut,
    ResumeIn,
    RetriedOut,
    RetryIn,
    WholeExecutionOut,
)
from api.schemas.watching import EventsQuery, WatchedQuery, WatchQuery
from api.session import db
from api.streams import last_event_id, stream
from api.watching import watch, watch_list
from models.services import answers, executions, retries, statements
from tasks.queue import TaskName, enqueue

RETRY_REFUSALS = (
    "history_expired",
    "not_retryable",
    "confirmation_required",
    "insufficient_credits",
    "api_call_limit_reached",
    *TIER_LIMITS,
)

GONE = ("history_expired",)

bp = Blueprint("executions", __name__, url_prefix="/executions")


@bp.get("")
@signed_in
@describes(answers=Page("executions", ExecutionOut), asks=WatchedQuery, also={304: None}, headers=("ETag",))
def index() -> ResponseReturnValue:
    """The caller's runs, newest first; some of them by `ids` or `status`, with `wait` once one of `ids` has news."""
    return watch_list(**page_query(WatchedQuery))


@bp.get("/<uuid:execution_id>")
@signed_in
@describes(answers=WholeExecutionOut, asks=WatchQuery, also={304: None}, headers=("ETag",), refuses=GONE)
def get(execution_id: UUID) -> ResponseReturnValue:
    """One run: how far it is, each node's state, its receipt; with `wait` once there is news."""
    return watch(execution_id, **query(WatchQuery))


@bp.get("/<uuid:execution_id>/receipt")
@signed_in
@describes(answers=ReceiptPageOut, asks=LinesQuery)
def receipt(execution_id: UUID) -> ResponseReturnValue:
    """What a run cost: the receipt, also of a run whose history was removed, and a page of its single charges."""
    args = lines_query(LinesQuery)
    found = statements.statement(db(), current_user(), execution_id, **args)
    page = lines_page(show(LineOut, found.lines, many=True), found.lines, args)
    return {"executionId": execution_id, **found.receipt, "linesExpired": found.lines_expired, **page}


@bp.get("/<uuid:execution_id>/logs")
@signed_in
@describes(answers=LogsOut, asks=LogsQuery, refuses=GONE)
def logs(execution_id: UUID) -> ResponseReturnValue:
    """What happened in a run, oldest first; go on with `after` = the last `seq` seen."""
    args = query(LogsQuery)
    rows = executions.logs(db(), current_user(), execution_id, **args)
    return {"logs": show(LogOut, rows, many=True), "count": len(rows), **args}


@bp.get("/<uuid:execution_id>/events")
@signed_in
@describes(answers=EventOut, asks=EventsQuery, media="text/event-stream", also={204: None}, refuses=GONE)
def events(execution_id: UUID) -> ResponseReturnValue:
    """What happens in a run, as it happens: server-sent events that go on after `Last-Event-ID`."""
    after = last_event_id()
    return stream(current_user(), executions.get(db(), current_user(), execution_id), after)


@bp.post("/<uuid:execution_id>/cancel")
@signed_in
@describes(answers=ExecutionOut, status=202, takes=NothingIn, optional=True, refuses=("already_finished", *GONE))
def cancel(execution_id: UUID) -> ResponseReturnValue:
    """Ask a run to stop; whoever drives it stops it soon."""
    body(NothingIn, optional=True)
    execution = executions.request_cancel(db(), current_user(), execution_id)
    enqueue(db(), TaskName.DRIVE_EXECUTION, priority=execution.priority, execution_id=execution.id)
    return show(ExecutionOut, execution), 202


@bp.post("/<uuid:execution_id>/resume")
@signed_in
@describes(answers=ExecutionOut, status=202, takes=ResumeIn, refuses=("insufficient_credits", "nothing_asked", *GONE))
def resume(execution_id: UUID) -> ResponseReturnValue:
    """Let a run that used up its credits go on with more."""
    execution = answers.resume(db(), current_user(), execution_id, **body(ResumeIn))
    enqueue(db(), TaskName.DRIVE_EXECUTION, priority=execution.priority, execution_id=execution.id)
    return show(ExecutionOut, execution), 202


@bp.post("/<uuid:execution_id>/approvals/<node_id>")
@signed_in
@describes(answers=ExecutionOut, status=202, takes=ApprovalIn, refuses=("nothing_asked", *GONE))
def approve(execution_id: UUID, node_id: str) -> ResponseReturnValue:
    """Answer the question that a run waits with."""
    execution = answers.approve(db(), current_user(), execution_id, node_id, **body(ApprovalIn))
    enqueue(db(), TaskName.DRIVE_EXECUTION, priority=execution.priority, execution_id=execution.id)
    return show(ExecutionOut, execution), 202


@bp.post("/<uuid:execution_id>/retry")
@signed_in
@idempotent
@describes(answers=RetriedOut, status=202, takes=RetryIn, optional=True, refuses=RETRY_REFUSALS, headers=LOCATED)
def retry(execution_id: UUID) -> ResponseReturnValue:
    """Run it again from where it failed, taking over what was finished."""
    limits = current_app.extensions["settings"].run_limits
    retried = retries.retry(db(), current_user(), execution_id, **body(RetryIn, optional=True), limits=limits)
    execution = retried.execution
    ring(execution)
    return accepted(execution, saved={"nodes": retried.nodes, "credits": retried.credits})
