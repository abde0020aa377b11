"""The variables that a step of a run saw, read back from the recorded results of other steps."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.config import compile_config
from models.rules.graph.effects import Iterate
from models.rules.graph.graph import ERROR_PORT, Graph, NodeConnection, parse
from models.rules.graph.kinds import NodeCall
from models.rules.nodes import KINDS
from models.rules.values.scope import FuelMeter, Scope
from models.tables import Execution, NodeExecution, WorkflowVersion

Json = Any


class RecordedRun:
    """The graph of a run and its recorded results, which are read one by one as they are needed."""

    def __init__(self, session: Session, execution: Execution) -> None:
        self._session, self.execution = session, execution
        self._rows: dict[Step, NodeExecution | None] = {}

    @cached_property
    def graph(self) -> Graph:
        """The graph of the run's version."""
        version_id: UUID = self.execution.version_id
        return parse(self._session.scalars(select(WorkflowVersion.graph).filter_by(id=version_id)).one())

    def row(self, step: Step) -> NodeExecution | None:
        """The row of a step; None if the run did not come to it."""
        if step not in self._rows:
            key = {"execution_id": self.execution.id, "node_id": step.node_id, "path": step.path}
            self._rows[step] = self._session.scalar(select(NodeExecution).filter_by(**key))
        return self._rows[step]

    def output(self, step: Step) -> Json:
        """The output of a step; None without one."""
        row = self.row(step)
        return None if row is None else row.output

    def loop_around(self, step: Step) -> Step | None:
        """The step of the loop in which `step` is; None at the top level."""
        parent = self.graph.nodes[step.node_id].parent_id
        return None if parent is None else Step(parent, step.path.rpartition(".")[0])


class StepScope:
    """The variables of one step; raises `NotFound` if the graph has no such node, or no such iteration of it."""

    def __init__(self, run: RecordedRun, step: Step, meter: FuelMeter) -> None:
        self._run, self._step, self._meter = run, step, meter
        depth, around = 0, step
        while around.node_id in run.graph.nodes and (outer := run.loop_around(around)):
            depth, around = depth + 1, outer
        if around.node_id not in run.graph.nodes or depth != len(step.path.split(".")) * bool(step.path):
            raise NotFound("step of this run")
        if step.path and not all(index.isdecimal() for index in step.path.split(".")):
            raise NotFound("step of this run")

    def incoming(self) -> Json:
        """The data that flows into the step: one output, several by node, an iteration's item, or the run's input."""
        connections = self._run.graph.incoming.get(self._step.node_id)
        if not connections:
            iteration = self.iteration()
            return iteration[1] if iteration else self._run.execution.input
        arrived = self._arrived(connections)
        return next(iter(arrived.values())) if len(arrived) == 1 else arrived

    def iteration(self) -> tuple[int, Json] | None:
        """Index and item of the iteration; None at the top level, unless a trial gives them."""
        loop = self._run.loop_around(self._step)
        if loop is None:
            trial = self._run.graph.trial
            return trial.iteration if trial else None
        index = int(self._step.path.rpartition(".")[2])
        effect = self._iterate(loop)
        if effect.items is None:
            return index, self._result_of(loop, index - 1) if index else None
        return index, effect.items[index] if index < len(effect.items) else None

    def scope(self) -> Scope:
        """The variables of the step's expressions."""
        index, item = self.iteration() or (None, None)
        execution = self._run.execution
        facts = {
            "id": str(execution.id),
            "workflowId": str(execution.workflow_id),
            "workflowName": execution.workflow_name,
            "startedAt": (execution.started_at or execution.created_at).isoformat().replace("+00:00", "Z"),
        }
        variables = {
            "input": execution.input,
            "nodes": _Nodes(self._run, self._step),
            "item": item,
            "index": index,
            "execution": facts,
            "data": self.incoming(),
        }
        row = self._run.row(self._step)
        moment = (row and row.started_at) or execution.started_at or execution.created_at
        return Scope(variables, moment, f"{execution.id} {self._step.node_id} {self._step.path}", self._meter)

    def _arrived(self, connections: tuple[NodeConnection, ...]) -> dict[str, Json]:
        """The outputs by node of the sources whose connections were taken, as far as they have ended."""
        rows = {c.source: self._run.row(Step(c.source, self._step.path)) for c in connections}
        taken = {c.source: row for c in connections if (row := rows[c.source]) is not None and _is_taken(c, row)}
        if len(taken) > 1 and self._joins_any():
            first = min(taken, key=lambda source: str(taken[source].finished_at))
            return {first: taken[first].output}
        return {source: row.output for source, row in taken.items()}

    def _joins_any(self) -> bool:
        node = self._run.graph.nodes[self._step.node_id]
        return node.type in KINDS and KINDS[node.type].joins_any(node.config)

    def _iterate(self, loop: Step) -> Iterate:
        """The iterations of a loop, computed again from what it saw."""
        node = self._run.graph.nodes[loop.node_id]
        around = StepScope(self._run, loop, self._meter)
        kind, scope = KINDS[node.type], around.scope()
        config = compile_config(kind, node, frozenset(self._run.graph.nodes)).resolve(scope)
        effect = kind.begin(NodeCall(node, config, scope, scope.variables["data"]))
        return effect if isinstance(effect, Iterate) else Iterate(())

    def _result_of(self, loop: Step, index: int) -> Json:
        """The result of an earlier iteration: the output of its last node, or several by node."""
        graph, path = self._run.graph, loop.inner_path(index)
        last = [node_id for node_id in graph.children.get(loop.node_id, ()) if not graph.outgoing.get(node_id)]
        rows = {node_id: self._run.row(Step(node_id, path)) for node_id in last}
        found = {node_id: row.output for node_id, row in rows.items() if row and row.status is NodeStatus.SUCCESS}
        return next(iter(found.values())) if len(found) == 1 else (found or None)


class _Nodes(Mapping[str, Json]):
    """`nodes` as a step saw it: outputs of its own iteration and of the ones around it."""

    def __init__(self, run: RecordedRun, step: Step) -> None:
        self._run, self._step = run, step

    def __getitem__(self, node_id: str) -> Json:
        if node_id not in self._run.graph.nodes:
            raise KeyError(node_id)
        around: Step | None = self._step
        while around is not None:
            if self._run.graph.nodes[around.node_id].parent_id == self._run.graph.nodes[node_id].parent_id:
                return {"output": self._run.output(Step(node_id, around.path))}
            around = self._run.loop_around(around)
        return {"output": None}

    def __iter__(self) -> Iterator[str]:
        return iter(self._run.graph.nodes)

    def __len__(self) -> int:
        return len(self._run.graph.nodes)


def _is_taken(connection: NodeConnection, row: NodeExecution) -> bool:
    if row.status is NodeStatus.SUCCESS:
        return connection.port is None or connection.port == row.port
    return row.status is NodeStatus.FAILED and connection.port == row.port == ERROR_PORT
