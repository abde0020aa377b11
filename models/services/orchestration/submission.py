"""Inserts new runs, deferred behind their owner's other runs, so that one user's runs do not fill the shared queues.

For each owner only twice as many runs are in a queue as the tier drives at a time. Further runs are deferred from the
start; the end of one of the owner's runs enqueues the next one.

Most runs are ready: one statement looks at all that decides whether they may start, and inserts them. It inserts
nothing if a run is refused, or if more than columns of a few rows decides, such as the workflows that it runs. Then
`executions.submit` looks at one thing after the other, and says why.

The tier limits how many runs may be queued or waiting at a time. The statement that inserts a run counts them, so
concurrent submissions may not see each other and can exceed the limit by their number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from models.changes import notify_changed
from models.errors import Conflict, InsufficientCredits, Quota
from models.raw_statement import PreparedStatement, RawStatement, loaded
from models.rules.executions.deadlines import RunTimeLimits
from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import PLANS, PRICE_LIST, Priority, Tier
from models.serialization import Json, to_json
from models.services.credits import api_calls, ledger, storage
from models.services.orchestration.run_size import run_bytes
from models.services.workflows import workflow_limits
from models.tables import Execution, User
from telemetry import correlation, tracing

QUEUED_PER_SLOT = 2  # messages per concurrent run of a tier, so that no worker waits for one

# One statement, for speed: it holds the credits and inserts the run, its first event and its hold. Without enough
# credits it returns no row; concurrent submissions of a user wait for the lock of the wallet. VERSION selects the
# version and what it says of the run. The counted rows have the order of an index with all columns asked for, and a
# limit that PostgreSQL does not know when it plans: otherwise it may read the rows of all users.
_INSERT_VERSION = """
    WITH version AS (
        VERSION
    ), pending AS (
        SELECT count(*) AS runs, count(*) FILTER (WHERE status = 'queued') AS queued
          FROM (SELECT status FROM workflow_executions WHERE user_id = :owner AND status IN ('queued', 'waiting')
                 ORDER BY status LIMIT (SELECT CAST(:max_pending AS int))) AS counted
    ), moved AS (
        UPDATE credits c SET held = c.held + v.credits, updated_at = now()
          FROM version v, pending p
         WHERE c.user_id = :owner AND c.balance - c.held >= v.credits AND p.runs < :max_pending
     RETURNING v.*, p.queued
    ), added AS (
        INSERT INTO workflow_executions (id, user_id, workflow_id, version_id, workflow_name, status, priority, input,
                                         price_list, credits_cap, nodes_total, retry_of, last_seq, deadline_at,
                                         start_by, stored_bytes, tags, tried_node_id, request_id, traceparent,
                                         schedule_id, scheduled_for, deferred_at)
        SELECT gen_random_uuid(), :owner, :workflow, v.id, v.name, 'queued', :priority, CAST(:input AS jsonb),
               :prices, v.credits, v.nodes, CAST(:retry_of AS uuid), 1, now() + make_interval(secs => v.timeout),
               now() + make_interval(secs => v.queue_seconds), :stored, CAST(:tags AS jsonb), :tried,
               CAST(:request_id AS text), CAST(:traceparent AS text),
               CAST(:schedule AS uuid), CAST(:scheduled_for AS timestamptz),
               CASE WHEN v.queued >= :max_queued
                      OR EXISTS (SELECT FROM workflow_executions d
                                  WHERE d.user_id = :owner AND d.status = 'queued' AND d.deferred_at IS NOT NULL)
                    THEN now() END
          FROM moved v
     RETURNING id, user_id, workflow_name, credits_cap, last_seq, deferred_at
    ), recorded AS (
        INSERT INTO execution_events (execution_id, seq, type, message)
        SELECT id, last_seq, 'execution.queued', workflow_name || ' is queued.' FROM added
    ), placed AS (
        INSERT INTO credit_holds (execution_id, user_id, amount) SELECT id, user_id, credits_cap FROM added
    )
    SELECT id, deferred_at FROM added
"""
_INSERT = PreparedStatement(
    _INSERT_VERSION,
    VERSION="""
        SELECT CAST(:version AS uuid) AS id, CAST(:name AS text) AS name, CAST(:cap AS numeric) AS credits,
               CAST(:nodes AS int) AS nodes, CAST(:timeout AS double precision) AS timeout,
               CAST(:queue_seconds AS double precision) AS queue_seconds
    """,
)
# The newest version of the workflow, locked as by `runnable.newest`. It waits for nobody who saves the workflow at the
# moment, because runs of others may be inserted in the same transaction; a closer look does.
_INSERT_READY = PreparedStatement(
    _INSERT_VERSION,
    VERSION="""
        SELECT v.id, w.name, v.worst_case_credits AS credits, v.node_count AS nodes,
               least(coalesce(CAST(:timeout AS int), w.timeout, :default_timeout), :max_timeout) AS timeout,
               least(coalesce(CAST(:queue AS int), w.max_queue_seconds, :default_queue), :max_timeout) AS queue_seconds
          FROM workflows w JOIN workflow_versions v ON v.workflow_id = w.id AND v.number = w.latest_version
         WHERE w.id = :workflow AND w.user_id = :owner AND w.deleted_at IS NULL
           AND v.price_list = :prices AND v.lint_errors = '[]' AND v.calls = '[]' AND v.agents = '[]'
           AND IS_ALLOWED AND HAS_ROOM AND HAS_CALLS
           FOR KEY SHARE OF w, v SKIP LOCKED
    """,
    IS_ALLOWED=workflow_limits.IS_ALLOWED,
    HAS_ROOM=storage.HAS_ROOM,
    HAS_CALLS=api_calls.HAS_CALLS,
)
_COUNT_PENDING = RawStatement("""
    SELECT count(*) FROM workflow_executions WHERE user_id = :owner AND status IN ('queued', 'waiting')
""")


class ScheduledTime(NamedTuple):
    """A time of a schedule, for which one run is started."""

    schedule_id: UUID
    due_at: datetime


@dataclass(frozen=True)
class RunRequest:
    """What a run is requested with, whatever its version."""

    workflow_id: UUID
    priority: Priority  # selects the queue
    input: Json = None
    tags: Sequence[str] | None = None  # words by which its owner finds it
    scheduled: ScheduledTime | None = None  # for which one run is started; a second one is an error of the database
    retry_of: UUID | None = None  # the ended run that it retries
    tried_node_id: str | None = None  # the only node that runs, for a trial


class PendingRunLimitReached(Conflict):
    """The maximum number of queued or waiting runs of the tier is reached."""

    code = "pending_run_limit_reached"

    def __init__(self, tier: Tier, limit: int, pending: int) -> None:
        super().__init__(
            f"The {tier} tier allows {limit:,} runs that are queued or waiting at a time, and you have {pending:,}:"
            " wait until some of them go on, cancel some, or choose a higher tier.",
            quota=Quota(limit, pending),
        )


def insert_execution(
    session: Session,
    owner: User,
    request: RunRequest,
    *,
    version_id: UUID,
    workflow_name: str,
    credits_cap: Decimal,
    nodes_total: int,
    timeout_seconds: float | None,
    queue_seconds: float | None,
) -> Execution:
    """Insert a run and hold its cap. It is deferred, and must not be enqueued, if its owner has enough queued runs.

    Args:
        session: the session of the transaction.
        owner: the user who pays for the run.
        request: the requested run.
        version_id: the version of the workflow to run.
        workflow_name: the current name of the workflow.
        credits_cap: the most that it may cost, in credits.
        nodes_total: the number of nodes of its graph.
        timeout_seconds: seconds from now until it must have ended; None without a limit.
        queue_seconds: seconds from now until it must have started.

    Raises:
        PendingRunLimitReached: the owner has too many queued or waiting runs.
        InsufficientCredits: the owner does not have the credits.
    """
    version = {
        "version": version_id,
        "name": workflow_name,
        "cap": credits_cap,
        "nodes": nodes_total,
        "timeout": timeout_seconds,
        "queue_seconds": queue_seconds,
    }
    row = _INSERT.first(session, _values(owner, request) | version)
    if row is None:
        _require_pending_below_limit(session, owner)
        raise InsufficientCredits(credits_cap, ledger.available(session, owner.id))
    return _inserted(session, owner, request, row)


@dataclass(frozen=True, eq=False)
class Submission:
    """A run that may be ready, with all that its insert needs."""

    owner: User
    request: RunRequest
    values: Mapping[str, Any]  # the parameters of the statement


def prepare(
    owner: User,
    request: RunRequest,
    *,
    timeout: int | None,
    max_queue_seconds: int | None,
    limits: RunTimeLimits,
) -> Submission:
    """Prepare a run of the newest version, for the arguments of `executions.submit`."""
    tier = owner.subscription_tier
    times = {
        "timeout": timeout,
        "default_timeout": limits.timeout,
        "max_timeout": limits.max_timeout,
        "queue": max_queue_seconds,
        "default_queue": limits.queue,
    }
    bounds = workflow_limits.bounds(tier) | storage.bounds(tier) | api_calls.bounds(tier)
    return Submission(owner, request, _values(owner, request) | times | bounds)


def insert_if_ready(session: Session, submission: Submission, *, alone: bool = False) -> Execution | None:
    """Insert the run; None if `executions.submit` has to look closer.

    With `alone` it is committed at once if the session has begun no transaction.
    """
    insert = _INSERT_READY.first_at_once if alone else _INSERT_READY.first
    row = insert(session, submission.values)
    return _inserted(session, submission.owner, submission.request, row) if row else None


def _values(owner: User, request: RunRequest) -> dict[str, Any]:
    """The parameters of both statements."""
    plan, scheduled = PLANS[owner.subscription_tier], request.scheduled
    return {
        "owner": owner.id,
        "max_pending": plan.limits.max_pending_runs,
        "max_queued": QUEUED_PER_SLOT * plan.concurrent_runs,
        "workflow": request.workflow_id,
        "priority": request.priority,
        "input": None if request.input is None else to_json(request.input),
        "stored": run_bytes(request.input),
        "prices": PRICE_LIST,
        "retry_of": request.retry_of,
        "tags": to_json(list(request.tags)) if request.tags else None,
        "tried": request.tried_node_id,
        "request_id": correlation.request_id(),
        "traceparent": tracing.traceparent(),
        "schedule": scheduled.schedule_id if scheduled else None,
        "scheduled_for": scheduled.due_at if scheduled else None,
    }


def _inserted(session: Session, owner: User, request: RunRequest, row: Sequence[Any]) -> Execution:
    """The run that was inserted; clients that watch all runs of its owner are told."""
    notify_changed(session, owner.id)
    id, deferred_at = row
    known = {"user_id": owner.id, "workflow_id": request.workflow_id, "priority": request.priority}
    return loaded(session, Execution, id=id, status=ExecutionStatus.QUEUED, deferred_at=deferred_at, **known)


def _require_pending_below_limit(session: Session, owner: User) -> None:
    """Raise `PendingRunLimitReached` if the limit is the reason for a rejected insert."""
    tier = owner.subscription_tier
    limit = PLANS[tier].limits.max_pending_runs
    ((pending,),) = _COUNT_PENDING.rows(session, {"owner": owner.id})
    if pending >= limit:
        raise PendingRunLimitReached(tier, limit, pending)
