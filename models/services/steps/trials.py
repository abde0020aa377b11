"""Trials: runs of one node of a workflow, with pinned outputs in place of the results of the nodes before it.

A trial is a run like every other one, with its hold and its receipt. It follows an unlisted version, whose graph is the
tried node and the pinned ones, and the pinned ones begin as if they had succeeded.
"""

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.executions.deadlines import DEFAULT_TIME_LIMITS, RunTimeLimits
from models.rules.lint.trials import TrialData
from models.rules.prices.pricing import PLANS
from models.serialization import Json, to_json
from models.services.credits import api_calls, storage
from models.services.orchestration import submission
from models.services.orchestration.run_size import ROW_BYTES, json_bytes
from models.services.orchestration.submission import RunRequest
from models.services.workflows import estimates, trial_versions, workflow_limits, workflows
from models.services.workflows.trial_versions import TriedNode
from models.tables import Execution, User

_PIN = text("""
    WITH pinned AS (
        INSERT INTO node_executions (execution_id, node_id, status, output, started_at, finished_at, external_ref)
        SELECT :run, pin.key, 'success', pin.value, now(), now(), '{"pinned": true}'
          FROM jsonb_each(CAST(:pinned AS jsonb)) AS pin
    )
    UPDATE workflow_executions SET stored_bytes = stored_bytes + :bytes WHERE id = :run
""")


def submit(
    session: Session,
    owner: User,
    workflow_id: UUID,
    node_id: str,
    data: TrialData,
    *,
    graph: Mapping[str, Json] | None = None,
    max_credits: Decimal | None = None,
    limits: RunTimeLimits = DEFAULT_TIME_LIMITS,
) -> Execution:
    """Submit a run of one node and hold the most that it may cost.

    Args:
        session: the session of the transaction.
        owner: the user who owns the workflow and pays for the run.
        workflow_id: the workflow.
        node_id: the node; a loop cannot be tried.
        data: what the node gets. A node before it without a pinned output counts as not taken, or as null if read.
        graph: the graph with the node, as an editor has it; None: the workflow's newest one.
        max_credits: limits the cost of the run; None: the worst case.
        limits: the deployment's limits of time.

    Raises:
        NotFound: `owner` has no such workflow, or it has no such node.
        InvalidInput: the node cannot run (`invalid_graph`) or not alone (`node_not_triable`), or the data do not fit.
        Forbidden, InsufficientCredits: as `executions.submit` does.
    """
    workflow = workflows.get(session, owner, workflow_id)
    document = {"connections": [], **(workflow.latest.graph if graph is None else graph)}
    workflow_limits.require_rerunnable(session, owner, workflow_id, len(document["nodes"]))
    storage.require_room(session, owner)
    tried = TriedNode(node_id, document, data.index, data.item)
    version, worst_case = trial_versions.add(session, owner, workflow, tried, data.pinned.keys())
    api_calls.require_some(session, owner, version.id)
    others = [item["id"] for item in version.graph["nodes"] if item["id"] != node_id]
    run = submission.insert_execution(
        session,
        owner,
        RunRequest(workflow_id, PLANS[owner.subscription_tier].priority, data.input, tried_node_id=node_id),
        version_id=version.id,
        workflow_name=workflow.name,
        credits_cap=estimates.cap(session, version.id, worst_case, max_credits, done=others),
        nodes_total=1,
        timeout_seconds=limits.timeout_for(None, workflow.timeout),
        queue_seconds=limits.queue_for(None, workflow.max_queue_seconds),
    )
    _pin(session, run, {name: data.pinned.get(name) for name in others})
    return run


def _pin(session: Session, run: Execution, outputs: Mapping[str, Json]) -> None:
    """Record nodes as succeeded with these outputs."""
    size = sum(ROW_BYTES + json_bytes(output) for output in outputs.values())
    session.execute(_PIN, {"run": run.id, "pinned": to_json(outputs), "bytes": size})
