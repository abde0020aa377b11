"""The one statement that writes a batch of the journal: runs, nodes, requests and events, and settles ended runs.

Parameters are JSON lists of `runs`, `nodes`, `requests` and `events`.
"""

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from models.raw_statement import PreparedStatement
from models.services.credits import api_calls, ledger


class WrittenRun(NamedTuple):
    """A run that was written, by the columns that the statement returns; the runs of other drivers are left out."""

    id: UUID
    user_id: UUID
    workflow_name: str
    credits_charged: Decimal
    depth: int
    seconds: float  # since it was started
    is_over: bool
    available: Decimal | None  # what its owner may spend, if the end of a run has moved credits


_OF_RUNS = """jsonb_to_recordset(CAST(:runs AS jsonb)) AS v(
           id uuid, epoch int, charged numeric, succeeded int, seq bigint, stored bigint, fuel bigint, progress int,
           status text, over boolean, output jsonb, error jsonb, waiting_for jsonb, wake_at timestamptz)"""

# Rows of a tree are locked from the top down, as everywhere. Nodes, calls and events are written for `held` runs only.
_LOCK = """
    SELECT e.id FROM OF_RUNS JOIN workflow_executions e ON e.id = v.id
     WHERE e.epoch = v.epoch AND e.status IN ('running', 'cancelling')
       QUIET
     ORDER BY e.depth, e.id FOR NO KEY UPDATE OF e
"""

# Whether it is sure that no notification belongs to the end of a run. Settling it never lowers what may be spent.
_QUIET = """
       AND (NOT v.over OR (e.started_at > now() - make_interval(secs => :long_run)
                           AND EXISTS (SELECT FROM credits c
                                        WHERE c.user_id = e.user_id AND c.balance - c.held >= :low_balance)))
"""

_FENCE = """
    UPDATE workflow_executions e
       SET credits_charged = v.charged, nodes_executed = v.succeeded, last_seq = v.seq, updated_at = now(),
           stored_bytes = coalesce(v.stored, e.stored_bytes), fuel_spent = coalesce(v.fuel, e.fuel_spent),
           progress = greatest(e.progress, v.progress),
           -- Only crashes without progress between them make a run suspected.
           crash_state = CASE WHEN v.succeeded > e.nodes_executed THEN 'clear' ELSE e.crash_state END,
           status = coalesce(v.status, e.status), output = v.output, error = v.error,
           waiting_for = v.waiting_for,
           -- An approval that was given meanwhile has set an earlier time, which must not be overwritten.
           wake_at = CASE WHEN v.over THEN NULL WHEN v.status IS NULL THEN e.wake_at
                          ELSE least(e.wake_at, v.wake_at) END,
           finished_at = CASE WHEN v.over THEN now() END,
           lease_owner = CASE WHEN v.status IS NULL THEN e.lease_owner END,
           lease_expires_at = CASE WHEN v.status IS NULL THEN e.lease_expires_at END
      FROM OF_RUNS JOIN locked ON locked.id = v.id
     WHERE e.id = v.id AND e.epoch = v.epoch AND e.status IN ('running', 'cancelling')
 RETURNING e.id, e.user_id, e.workflow_name, e.credits_charged, e.depth,
           extract(epoch FROM now() - e.started_at)::float AS seconds, e.finished_at IS NOT NULL AS is_over
"""

_NODES = """
    INSERT INTO node_executions AS n (execution_id, node_id, path, status, attempt, port, output, error, credits,
                                      credits_due, external_ref, started_at, finished_at)
    SELECT v.* FROM jsonb_to_recordset(CAST(:nodes AS jsonb)) AS v(
           execution_id uuid, node_id text, path text, status text, attempt int, port text, output jsonb, error jsonb,
           credits numeric, credits_due numeric, external_ref jsonb, started_at timestamptz, finished_at timestamptz)
      JOIN held ON held.id = v.execution_id
    ON CONFLICT (execution_id, node_id, path) DO UPDATE
       SET status = excluded.status, attempt = excluded.attempt, port = excluded.port, output = excluded.output,
           error = excluded.error, credits = excluded.credits, credits_due = excluded.credits_due,
           -- If this is written a second time, an approval may have been given after the first.
           external_ref = CASE WHEN excluded.status = 'waiting' AND n.external_ref - 'answer' = excluded.external_ref
                               THEN n.external_ref ELSE excluded.external_ref END,
           started_at = excluded.started_at, finished_at = excluded.finished_at
"""

_EVENTS = """
    INSERT INTO execution_events (execution_id, seq, at, type, level, node_id, path, message, data)
    SELECT v.* FROM jsonb_to_recordset(CAST(:events AS jsonb)) AS v(
           execution_id uuid, seq bigint, at timestamptz, type text, level text, node_id text, path text, message text,
           data jsonb)
      JOIN held ON held.id = v.execution_id
    ON CONFLICT (execution_id, seq) DO NOTHING
"""

_WRITE = "locked AS (LOCK), held AS (FENCE), nodes AS (NODES), calls AS (CALLS), events AS (EVENTS)"
_PARTS = {
    "LOCK": _LOCK,
    "FENCE": _FENCE,
    "NODES": _NODES,
    "CALLS": api_calls.COUNT,
    "EVENTS": _EVENTS,
    "OF_RUNS": _OF_RUNS,
    "COUNTED_RUNS": "held",
}

RECORD = PreparedStatement("WITH WRITE SELECT held.*, NULL FROM held", WRITE=_WRITE, **_PARTS, QUIET="")

# For one run that goes on. Its row needs no lock before the others', and keeps what only a run that leaves changes.
_FENCE_ONE = """
    UPDATE workflow_executions e
       SET credits_charged = CAST(:charged AS numeric), nodes_executed = CAST(:succeeded AS int),
           last_seq = CAST(:seq AS bigint), updated_at = now(),
           stored_bytes = coalesce(CAST(:stored AS bigint), e.stored_bytes),
           fuel_spent = coalesce(CAST(:fuel AS bigint), e.fuel_spent),
           progress = greatest(e.progress, CAST(:progress AS int)),
           crash_state = CASE WHEN CAST(:succeeded AS int) > e.nodes_executed THEN 'clear' ELSE e.crash_state END
     WHERE e.id = CAST(:id AS uuid) AND e.epoch = CAST(:epoch AS int) AND e.status IN ('running', 'cancelling')
 RETURNING e.id, e.user_id
"""

RECORD_ONE = PreparedStatement(
    "WITH held AS (FENCE), nodes AS (NODES), calls AS (CALLS), events AS (EVENTS) SELECT held.id FROM held",
    **(_PARTS | {"FENCE": _FENCE_ONE}),
)

_ENDS = {"SETTLE": ledger.SETTLE, "ASKED": "SELECT id, credits_charged AS amount FROM held WHERE is_over"}

# For a batch in which runs end; it does more, so that executing it takes longer.
RECORD_ENDS = PreparedStatement(
    """
    WITH WRITE, SETTLE
    SELECT held.*, wallets.available FROM held LEFT JOIN wallets ON held.is_over AND wallets.user_id = held.user_id
""",
    WRITE=_WRITE,
    **_ENDS,
    **_PARTS,
    QUIET="",
)

# For ends that `QUIET` is sure of; it leaves out other ends.
RECORD_QUIET_ENDS = PreparedStatement(
    "WITH WRITE, SETTLE SELECT held.id FROM held", WRITE=_WRITE, **_ENDS, **_PARTS, QUIET=_QUIET
)
