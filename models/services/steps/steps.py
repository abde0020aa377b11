"""The steps of a run: each node, in each of its iterations, with its data and its log."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session, defer

from models.errors import ExpressionFailed, NotFound
from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.values.scope import FuelMeter, RunFuelSpent
from models.serialization import Json
from models.services.executions import executions
from models.services.steps.scope import RecordedRun, StepScope
from models.tables import ExecutionEvent, NodeExecution, User

INPUT_FUEL = 500_000_000  # for the items of the loops around a step, which are computed again
MAX_EVENTS = 100  # of a step


@dataclass(frozen=True)
class StepDetail:
    """A step with the data that flowed into it and its newest events."""

    row: NodeExecution
    input: Json
    events: Sequence[ExecutionEvent]


def list_of(
    session: Session,
    owner: User,
    execution_id: UUID,
    *,
    node_id: str | None = None,
    status: NodeStatus | None = None,
    limit: int = 50,
    offset: int = 0,
    after: tuple[str, str] | None = None,
) -> Sequence[NodeExecution]:
    """A page of the steps of a run, ordered by node and path, without their outputs; raises `NotFound`."""
    execution = executions.get(session, owner, execution_id)
    found = select(NodeExecution).where(NodeExecution.execution_id == execution.id)
    if node_id is not None:
        found = found.where(NodeExecution.node_id == node_id)
    if status is not None:
        found = found.where(NodeExecution.status == status)
    if after is not None:
        found = found.where(tuple_(NodeExecution.node_id, NodeExecution.path) > after)
    found = found.order_by(NodeExecution.node_id, NodeExecution.path).limit(limit).offset(offset)
    return session.scalars(found.options(defer(NodeExecution.output, raiseload=True))).all()


def get(session: Session, owner: User, execution_id: UUID, step: Step) -> StepDetail:
    """A step with its input, output and events; it is pending until the run comes to it. Raises `NotFound`."""
    run = RecordedRun(session, executions.get(session, owner, execution_id))
    row = _row(run, step)
    try:
        incoming = _incoming(run, step)
    except (ExpressionFailed, RunFuelSpent):  # of a loop whose items are not known any more
        incoming = None
    return StepDetail(row, incoming, _events(session, row))


def data(session: Session, owner: User, execution_id: UUID, step: Step, *, part: str) -> Json:
    """The input or the output of a step; raises `NotFound`."""
    run = RecordedRun(session, executions.get(session, owner, execution_id))
    row = _row(run, step)
    return row.output if part == "output" else _incoming(run, step)


def _row(run: RecordedRun, step: Step) -> NodeExecution:
    """The row of a step, or one of a pending step if the graph has such a node; raises `NotFound`."""
    row = run.row(step)
    if row is not None:
        return row
    if step.node_id not in run.graph.nodes:
        raise NotFound("step of this run")
    return NodeExecution(
        execution_id=run.execution.id,
        node_id=step.node_id,
        path=step.path,
        status=NodeStatus.PENDING,
        attempt=0,
        credits=Decimal(0),
    )


def _incoming(run: RecordedRun, step: Step) -> Json:
    return StepScope(run, step, FuelMeter(limit=INPUT_FUEL)).incoming()


def _events(session: Session, row: NodeExecution) -> Sequence[ExecutionEvent]:
    """The newest events of a step, oldest first."""
    is_its = {"execution_id": row.execution_id, "node_id": row.node_id, "path": row.path}
    newest = select(ExecutionEvent).filter_by(**is_its).order_by(ExecutionEvent.seq.desc()).limit(MAX_EVENTS)
    return session.scalars(newest).all()[::-1]
