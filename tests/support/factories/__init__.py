"""Factories for rows, as the services write them, without the services' checks."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from models.rules.executions.states import TERMINAL, TRANSITIONS, ExecutionStatus, NodeStatus, WorkflowStatus
from models.rules.graph.graph import parse
from models.rules.lint.subworkflows import calls_of
from models.rules.prices.pricing import PLANS, Tier
from models.services.credits import ledger
from models.services.orchestration import submission
from models.services.orchestration.submission import RunRequest
from models.tables import CreditHold, Execution, NodeExecution, User, Workflow, WorkflowVersion

_numbers = itertools.count(1)


def user(session: Session, *, credits: Decimal | int = 100, tier: Tier = Tier.FREE, **columns: Any) -> User:
    """A user with a wallet and no usable password."""
    number = next(_numbers)
    row = User(
        **{"email": f"user-{number}-{uuid4().hex[:8]}@example.com", "name": f"User {number}", "password_hash": "!"}
        | {"email_verified_at": datetime.now(UTC)}
        | columns,
        subscription_tier=tier,
    )
    session.add(row)
    session.flush()
    ledger.open_wallet(session, row.id)
    if credits:
        ledger.grant(session, row.id, Decimal(credits), key=f"test:{row.id}", reason="For a test", source="test")
    return row


def node(node_id: str, kind: str = "process", **rest: Any) -> dict[str, Any]:
    """A node in the app's format; `config`, `parentId` and the like by keyword."""
    return {"id": node_id, "type": kind, "label": node_id.title(), "position": {"x": 0, "y": 0}, "config": {}} | rest


def chain(*nodes: Mapping[str, Any]) -> dict[str, Any]:
    """A graph of nodes, each connected to the next."""
    connections = [
        {"id": f"{source['id']}-{target['id']}", "from": source["id"], "to": target["id"]}
        for source, target in itertools.pairwise(nodes)
    ]
    return {"nodes": [dict(node) for node in nodes], "connections": connections}


def workflow(
    session: Session,
    owner: User | None = None,
    *,
    graph: Mapping[str, Any] | None = None,
    worst_case: Decimal | int | str = "1.20",
    lint_errors: list[dict[str, str]] | None = None,
    **columns: Any,
) -> Workflow:
    """A workflow with its first version: input and output nodes, or `graph`."""
    owner = owner or user(session)
    values = {"name": f"Workflow {next(_numbers)}", "status": WorkflowStatus.ACTIVE, "latest_version": 0} | columns
    row = Workflow(user_id=owner.id, **values)
    row.latest_version = 1
    session.add(row)
    session.flush()
    _version(session, row, 1, graph, worst_case, lint_errors)
    return row


def version(
    session: Session,
    of: Workflow,
    *,
    graph: Mapping[str, Any] | None = None,
    worst_case: Decimal | int | str = "1.20",
    lint_errors: list[dict[str, str]] | None = None,
) -> WorkflowVersion:
    """The next version of a workflow."""
    of.latest_version += 1
    session.flush()
    return _version(session, of, of.latest_version, graph, worst_case, lint_errors)


def execution(
    session: Session,
    of: Workflow | None = None,
    *,
    status: ExecutionStatus = ExecutionStatus.QUEUED,
    cap: Decimal | int | str = "1.20",
    held: bool = True,
    **columns: Any,
) -> Execution:
    """A submitted run, changed by `columns`; the hold of an ended one is settled with its charge."""
    of = of or workflow(session)
    owner = session.get_one(User, of.user_id)
    session.refresh(of, ["latest"])
    row = submission.insert_execution(
        session,
        owner,
        RunRequest(of.id, PLANS[owner.subscription_tier].priority, columns.pop("input", None)),
        version_id=of.latest.id,
        workflow_name=of.name,
        credits_cap=Decimal(cap),
        nodes_total=of.latest.node_count,
        timeout_seconds=None,
        queue_seconds=None,
    )
    session.refresh(row)
    over = {"finished_at": of.created_at} if status in TERMINAL else {}
    reach(session, row, status)
    for name, value in ({"deferred_at": None} | over | columns).items():
        setattr(row, name, value)
    session.flush()
    if not held:
        ledger.settle(session, row.id, Decimal(0))
        session.delete(session.get_one(CreditHold, row.id))
    elif status in TERMINAL:
        ledger.settle(session, row.id, row.credits_charged)
    session.flush()
    return row


def reach(session: Session, run: Execution, status: ExecutionStatus) -> None:
    """Set a run's status without writing it, after those on the way to it, which are written."""
    if status is not run.status and status not in TRANSITIONS[run.status]:
        run.status = ExecutionStatus.RUNNING
        session.flush()
    run.status = status


def ran(session: Session, of: Execution, node_id: str, path: str = "", **columns: Any) -> NodeExecution:
    """The record of a node, in one iteration: a success unless `status` says otherwise."""
    of.epoch = of.epoch or 1  # only a driver records anything
    row = NodeExecution(
        execution_id=of.id, node_id=node_id, path=path, **{"status": NodeStatus.SUCCESS, "attempt": 1} | columns
    )
    session.add(row)
    session.flush()
    return row


def hold(session: Session, of: Execution) -> CreditHold:
    """A run's hold in the database."""
    return session.get_one(CreditHold, of.id, populate_existing=True)


def _version(
    session: Session,
    of: Workflow,
    number: int,
    graph: Mapping[str, Any] | None,
    worst_case: Decimal | int | str,
    lint_errors: list[dict[str, str]] | None,
) -> WorkflowVersion:
    graph = graph or chain(node("start", "input"), node("end", "output"))
    row = WorkflowVersion(
        name="Echo",
        workflow_id=of.id,
        number=number,
        graph=graph,
        node_count=len(graph["nodes"]),
        worst_case_credits=Decimal(worst_case),
        calls=[call.to_json() for call in calls_of(parse({"connections": [], **graph}))],
        lint_errors=lint_errors or [],
    )
    session.add(row)
    session.flush()
    return row
