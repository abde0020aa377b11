"""Invariants of every run once nothing is in progress, checked independently of the service's own code.

Fault tests and benchmarks run it after each fault: everything ended, charged once, and nothing held, leased or open.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg2

# Each returns rows of (problem, run, details). A run of which any node began costs 1 credit by itself; nodes that a
# retry reused, or that were pinned in a trial, did not begin in it.
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
          JOIN (SELECT execution_id, sum(credits) AS credits,
                       bool_or(status <> 'skipped'
                               AND NOT coalesce(external_ref ?| array['reusedFrom', 'pinned'], false)) AS began
                  FROM node_executions GROUP BY execution_id) n ON n.execution_id = e.id
         WHERE e.finished_at IS NOT NULL AND e.credits_charged <> n.credits + CASE WHEN n.began THEN 1 ELSE 0 END""",
    """SELECT 'still owed', n.execution_id::text, n.node_id || ' ' || n.credits_due
          FROM node_executions n JOIN workflow_executions e ON e.id = n.execution_id
         WHERE e.finished_at IS NOT NULL AND n.credits_due <> 0""",
    """SELECT 'charged for what a provider broke', execution_id::text, node_id || ' ' || (error->>'code')
          FROM node_executions
         WHERE status = 'failed' AND credits > 0 AND error->>'code' ~ '^http_(5..|429)$'
           AND NOT coalesce(external_ref ? 'owed', false)""",
    """SELECT 'sent and free', execution_id::text, node_id || ' ' || (error->>'code')
          FROM node_executions
         WHERE status = 'failed' AND credits = 0 AND error->>'code' ~ '^http_4..$' AND error->>'code' <> 'http_429'""",
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
    """Run one statement in its own connection; return its rows."""
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def wrongs(database: str) -> list[str]:
    """All violated invariants, as sentences; empty when all hold."""
    return [" ".join(map(str, row)) for check in _CHECKS for row in query(database, check)]
