"""Lines a new run up behind its owner's others, so that nobody's flood fills the queues that all share.

Of each owner only so many runs have a doorbell in a queue as the tier drives at a time, twice over. Those behind them
are deferred from the start: whichever of the owner's runs ends rings for the next one.
"""

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.execution import Execution
from models.rules.pricing import PLANS

IN_QUEUES = 2  # times what a tier drives at a time: enough that no worker waits for a bell

_LINE_UP = text("""
    UPDATE workflow_executions e SET deferred_at = now()
      FROM users u
     WHERE e.id = :id AND u.id = e.user_id
       AND (EXISTS (SELECT FROM workflow_executions d
                     WHERE d.user_id = u.id AND d.status = 'queued' AND d.deferred_at IS NOT NULL)
            OR (SELECT count(*) FROM (
                    SELECT FROM workflow_executions q WHERE q.user_id = u.id AND q.status = 'queued'
                     LIMIT CAST(CAST(:most AS jsonb)->>u.subscription_tier AS int) + 1) AS queued)
               > CAST(CAST(:most AS jsonb)->>u.subscription_tier AS int))
 RETURNING e.deferred_at
""")
_MOST = orjson.dumps({tier.value: IN_QUEUES * plan.concurrent_runs for tier, plan in PLANS.items()}).decode()


def line_up(session: Session, execution: Execution) -> None:
    """Defer a run that was just added if enough of its owner's are in the queues; such a run is not rung for."""
    if session.scalar(_LINE_UP, {"id": execution.id, "most": _MOST}):
        session.refresh(execution, ["deferred_at"])
