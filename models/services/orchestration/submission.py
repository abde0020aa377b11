"""Inserts new runs, deferred behind their owner's other runs, so that one user's runs do not fill the shared queues.

For each owner only twice as many runs are in a queue as the tier drives at a time. Further runs are deferred from the
start; the end of one of the owner's runs enqueues the next one.

The tier limits how many runs may be queued or waiting at a time. The statement that inserts a run counts them, so
concurrent submissions may not see each other and can exceed the limit by their number.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from models.changes import notify_changed
from models.errors import Conflict, InsufficientCredits, Quota
from models.raw_statement import PreparedStatement, RawStatement, columns, loaded
from models.rules.prices.pricing import PLANS, PRICE_LIST, Priority, Tier
from models.serialization import Json, to_json
from models.services.credits import ledger
from models.services.orchestration.run_size import run_bytes
from models.tables import Execution
from telemetry import correlation, tracing

QUEUED_PER_SLOT = 2  # messages per concurrent run of a tier, so that no worker waits for one

_COLUMNS = ", ".join(column.name for column in columns(Execution))

# One statement, for speed: it holds the credits and inserts the run, its first event and its hold. Without enough
# credits it returns no row; concurrent submissions of a user wait for the lock of the wallet.
_INSERT = PreparedStatement(
    """
    WITH moved AS (
        UPDATE credits c SET held = c.held + :cap, updated_at = now()
          FROM users u
         WHERE u.id = :owner AND c.user_id = u.id AND c.balance - c.held >= :cap
           AND (SELECT count(*) FROM (
                    SELECT FROM workflow_executions p WHERE p.user_id = u.id AND p.status IN ('queued', 'waiting')
                     LIMIT CAST(CAST(:pending AS jsonb)->>u.subscription_tier AS int)) AS pending)
               < CAST(CAST(:pending AS jsonb)->>u.subscription_tier AS int)
     RETURNING c.user_id
    ), added AS (
        INSERT INTO workflow_executions (id, user_id, workflow_id, version_id, workflow_name, status, priority, input,
                                         price_list, credits_cap, nodes_total, retry_of, last_seq, deadline_at,
                                         start_by, stored_bytes, tags, tried_node_id, request_id, traceparent,
                                         schedule_id, scheduled_for, deferred_at)
        SELECT gen_random_uuid(), u.id, :workflow, :version, :name, 'queued', :priority, CAST(:input AS jsonb),
               :prices, :cap, :nodes, CAST(:retry_of AS uuid), 1, now() + make_interval(secs => :timeout),
               now() + make_interval(secs => :queue_seconds), :stored, CAST(:tags AS jsonb), :tried,
               CAST(:request_id AS text), CAST(:traceparent AS text),
               CAST(:schedule AS uuid), CAST(:scheduled_for AS timestamptz),
               CASE WHEN EXISTS (SELECT FROM workflow_executions d
                                  WHERE d.user_id = u.id AND d.status = 'queued' AND d.deferred_at IS NOT NULL)
                      OR (SELECT count(*) FROM (
                              SELECT FROM workflow_executions q WHERE q.user_id = u.id AND q.status = 'queued'
                               LIMIT CAST(CAST(:most AS jsonb)->>u.subscription_tier AS int)) AS queued)
                         = CAST(CAST(:most AS jsonb)->>u.subscription_tier AS int)
                    THEN now() END
          FROM users u JOIN moved ON moved.user_id = u.id
     RETURNING *
    ), recorded AS (
        INSERT INTO execution_events (execution_id, seq, type, message)
        SELECT id, last_seq, 'execution.queued', workflow_name || ' is queued.' FROM added
    ), placed AS (
        INSERT INTO credit_holds (execution_id, user_id, amount) SELECT id, user_id, credits_cap FROM added
    )
    SELECT COLUMNS FROM added
""",
    COLUMNS=_COLUMNS,
)
_MAX_PENDING = to_json({tier.value: plan.limits.max_pending_runs for tier, plan in PLANS.items()})
_COUNT_PENDING = RawStatement("""
    SELECT u.subscription_tier, (SELECT count(*) FROM workflow_executions p
                                  WHERE p.user_id = u.id AND p.status IN ('queued', 'waiting'))
      FROM users u WHERE u.id = :owner
""")
_MAX_QUEUED = to_json({tier.value: QUEUED_PER_SLOT * plan.concurrent_runs for tier, plan in PLANS.items()})


class ScheduledTime(NamedTuple):
    """A time of a schedule, for which one run is started."""

    schedule_id: UUID
    due_at: datetime


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
    *,
    user_id: UUID,
    workflow_id: UUID,
    version_id: UUID,
    workflow_name: str,
    priority: Priority,
    input: Json,
    credits_cap: Decimal,
    nodes_total: int,
    timeout_seconds: float | None,
    queue_seconds: float,
    retry_of: UUID | None = None,
    tags: Sequence[str] | None = None,
    tried_node_id: str | None = None,
    scheduled: ScheduledTime | None = None,
) -> Execution:
    """Insert a run and hold its cap. It is deferred, and must not be enqueued, if its owner has enough queued runs.

    Args:
        session: the session of the transaction.
        user_id: the owner.
        workflow_id: the workflow.
        version_id: the version of the workflow to run.
        workflow_name: the current name of the workflow.
        priority: selects the queue.
        input: any JSON.
        credits_cap: the most that it may cost, in credits.
        nodes_total: the number of nodes of its graph.
        timeout_seconds: seconds from now until it must have ended; None without a limit.
        queue_seconds: seconds from now until it must have started.
        retry_of: the ended run that it retries.
        tags: words by which its owner finds it.
        tried_node_id: the only node that runs, for a trial.
        scheduled: the time of a schedule that starts it; a second run for it is an error of the database.

    Raises:
        PendingRunLimitReached: the owner has too many queued or waiting runs.
        InsufficientCredits: the owner does not have the credits.
    """
    parameters = {
        "stored": run_bytes(input),
        "owner": user_id,
        "workflow": workflow_id,
        "version": version_id,
        "name": workflow_name,
        "priority": priority,
        "input": None if input is None else to_json(input),
        "prices": PRICE_LIST,
        "cap": credits_cap,
        "nodes": nodes_total,
        "retry_of": retry_of,
        "tags": to_json(list(tags)) if tags else None,
        "request_id": correlation.request_id(),
        "tried": tried_node_id,
        "traceparent": tracing.traceparent(),
        "timeout": timeout_seconds,
        "queue_seconds": queue_seconds,
        "schedule": scheduled.schedule_id if scheduled else None,
        "scheduled_for": scheduled.due_at if scheduled else None,
        "most": _MAX_QUEUED,
        "pending": _MAX_PENDING,
    }
    row = _INSERT.first(session, parameters)
    if row is None:
        _require_pending_below_limit(session, user_id)
        raise InsufficientCredits(credits_cap, ledger.available(session, user_id))
    notify_changed(session, user_id)  # for clients that watch all runs of the user
    return loaded(session, Execution, row)


def _require_pending_below_limit(session: Session, user_id: UUID) -> None:
    """Raise `PendingRunLimitReached` if the limit is the reason for a rejected insert; counts all pending runs."""
    tier, pending = _COUNT_PENDING.first(session, {"owner": user_id}) or (Tier.FREE, 0)
    limit = PLANS[Tier(tier)].limits.max_pending_runs
    if pending >= limit:
        raise PendingRunLimitReached(Tier(tier), limit, pending)
