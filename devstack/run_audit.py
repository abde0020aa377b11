"""What must be true of every run once nothing is under way, worked out without the service's own code for it.

Fault tests and benches ask it after each fault: everything ended, paid for once, and nothing held, leased or open.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg2

# Each answers rows of (what is wrong, of which run, details). A run of which anything was charged costs 1 by itself.
_CHECKS = (
    "SELECT 'not over', id::text, status FROM workflow_executions WHERE finished_at IS NULL",
    """SELECT 'still leased', id::text, lease_owner FROM workflow_executions
         WHERE finished_at IS NOT NULL AND (lease_owner IS NOT NULL OR lease_expires_at IS NOT NULL)""",
    """SELECT 'hold still open', e.id::text, h.amount::text
          FROM workflow_executions e JOIN credit_holds h ON h.execution_id = e.id
         WHERE e.finished_at IS NOT NULL AND h.status = 'held'""",
    """SELECT 'node still open', e.id::text, n.node_id || ' ' || n.status
          FROM workflow_executions e JOIN node_executions n ON n.execution_id = e.id
         WHERE e.finished_at IS NOT NULL AND n.status IN ('pending', 'running', 'waiting')""",
    """SELECT 'charged otherwise than its nodes', e.id::text, e.credits_charged::text || ' for ' || n.credits::text
          FROM workflow_executions e
          JOIN (SELECT execution_id, sum(credits) AS credits FROM node_executions GROUP BY execution_id) n
            ON n.execution_id = e.id
         WHERE e.finished_at IS NOT NULL
           AND e.credits_charged <> n.credits + CASE WHEN n.credits > 0 THEN 1 ELSE 0 END""",
    """SELECT 'ledger entries', execution_id::text, count(*)::text FROM credit_transactions
         WHERE execution_id IS NOT NULL GROUP BY execution_id HAVING count(*) > 1""",
    """SELECT 'ledger differs', e.id::text, e.credits_charged::text || ' against ' || coalesce(t.amount, 0)::text
          FROM workflow_executions e
          LEFT JOIN (SELECT execution_id, sum(CASE type WHEN 'debit' THEN amount ELSE -amount END) AS amount
                       FROM credit_transactions WHERE execution_id IS NOT NULL GROUP BY execution_id) t
            ON t.execution_id = e.id
         WHERE e.finished_at IS NOT NULL AND e.credits_charged <> coalesce(t.amount, 0)""",
    """SELECT 'gap in its history', execution_id::text, max(seq)::text || ' but ' || count(*)::text
          FROM execution_events GROUP BY execution_id HAVING max(seq) <> count(*) OR min(seq) <> 1""",
    """SELECT 'ended more than once', execution_id::text, count(*)::text FROM execution_events
         WHERE type IN ('execution.success', 'execution.failed', 'execution.cancelled')
         GROUP BY execution_id HAVING count(*) > 1""",
    "SELECT invariant, subject::text, detail FROM ledger_violations()",
)


def query(database: str, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of one statement, in a connection of its own."""
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def unfinished(database: str) -> int:
    """How many runs are not over."""
    return int(query(database, "SELECT count(*) FROM workflow_executions WHERE finished_at IS NULL")[0][0])


def wrongs(database: str) -> list[str]:
    """Everything that is not as it must be, as sentences; none is the only good answer."""
    return [" ".join(map(str, row)) for check in _CHECKS for row in query(database, check)]
