"""Adds new runs, each in line behind its owner's others, so that nobody's flood fills the queues that all share.

Of each owner only so many runs have a doorbell in a queue as the tier drives at a time, twice over. Those behind them
are deferred from the start: whichever of the owner's runs ends rings for the next one.
"""

from decimal import Decimal
from uuid import UUID

import orjson
from sqlalchemy.orm import Session

from models.base import Json
from models.errors import InsufficientCredits
from models.execution import Execution
from models.plain import Plain, columns, loaded
from models.rules.pricing import PLANS, PRICE_LIST, Priority
from models.services import credits

IN_QUEUES = 2  # times what a tier drives at a time: enough that no worker waits for a bell

_COLUMNS = ", ".join(column.name for column in columns(Execution))

# One statement, because every submission pays for it: its credits, the run, its place, its first event and its hold. A
# wallet that does not bear it leaves no row, and who submits at once waits for the wallet.
_ADD = Plain(
    """
    WITH moved AS (
        UPDATE credits SET held = held + :cap, updated_at = now()
         WHERE user_id = :owner AND balance - held >= :cap
     RETURNING user_id
    ), added AS (
        INSERT INTO workflow_executions (id, user_id, workflow_id, version_id, workflow_name, status, priority, input,
                                         price_list, credits_cap, nodes_total, retry_of, last_seq, deadline_at,
                                         start_by, deferred_at)
        SELECT gen_random_uuid(), u.id, :workflow, :version, :name, 'queued', :priority, CAST(:input AS jsonb),
               :prices, :cap, :nodes, CAST(:retry_of AS uuid), 1, now() + make_interval(secs => :timeout),
               now() + make_interval(secs => :queue_seconds),
               CASE WHEN EXISTS (SELECT FROM workflow_executions d
                                  WHERE d.user_id = u.id AND d.status = 'queued' AND d.deferred_at IS NOT NULL)
                      OR (SELECT count(*) FROM (
                              SELECT FROM workflow_executions q WHERE q.user_id = u.id AND q.status = 'queued'
                               LIMIT CAST(CAST(:most AS jsonb)->>u.subscription_tier AS int)) AS queued)
                         = CAST(CAST(:most AS jsonb)->>u.subscription_tier AS int)
                    THEN now() END
          FROM users u JOIN moved ON moved.user_id = u.id
     RETURNING *
    ), told AS (
        INSERT INTO execution_events (execution_id, seq, type, message)
        SELECT id, last_seq, 'execution.queued', workflow_name || ' is queued.' FROM added
    ), placed AS (
        INSERT INTO credit_holds (execution_id, user_id, amount) SELECT id, user_id, credits_cap FROM added
    )
    SELECT COLUMNS FROM added
""",
    COLUMNS=_COLUMNS,
)
_MOST = orjson.dumps({tier.value: IN_QUEUES * plan.concurrent_runs for tier, plan in PLANS.items()}).decode()


def add(
    session: Session,
    *,
    owner: UUID,
    workflow: UUID,
    version: UUID,
    name: str,
    priority: Priority,
    input: Json,
    cap: Decimal,
    nodes: int,
    timeout: float | None,
    queue_seconds: float,
    retry_of: UUID | None = None,
) -> Execution:
    """Add a run with its cap held, deferred if enough of its owner's are in the queues; such a one is not rung for.

    Args:
        name: the workflow's, as it is now.
        cap: the most it may cost, in credits.
        nodes: of its graph.
        timeout: seconds from now in which it must have ended; None for ever.
        queue_seconds: seconds from now in which it must have been started.
        retry_of: the ended run that it repeats.

    Raises `InsufficientCredits`.
    """
    asked = {
        "owner": owner,
        "workflow": workflow,
        "version": version,
        "name": name,
        "priority": priority,
        "input": None if input is None else orjson.dumps(input).decode(),
        "prices": PRICE_LIST,
        "cap": cap,
        "nodes": nodes,
        "retry_of": retry_of,
        "timeout": timeout,
        "queue_seconds": queue_seconds,
        "most": _MOST,
    }
    row = _ADD.first(session, asked)
    if row is None:
        raise InsufficientCredits(cap, credits.available(session, owner))
    return loaded(session, Execution, row)
