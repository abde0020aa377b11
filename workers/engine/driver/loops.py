"""The open loops of one run: they start iterations, and end with the results of all of them.

Owned by the driver's thread.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime

from models.errors import ForgeError
from models.rules.executions.schedule import Advance, Schedule, Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.effects import Done, Iterate
from models.rules.graph.graph import Node
from models.rules.prices.charging import root_code
from models.serialization import Json
from models.services.orchestration.journal import NodeRow
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values import clock, time_limits
from workers.engine.values.compiled_workflow import CompiledWorkflow
from workers.engine.values.scope import ScopeBuilder


class IterationFailed(ForgeError):
    """A node in a loop failed."""

    code = "iteration_failed"

    def __init__(self, label: str, step: Step, document: Mapping[str, Json]) -> None:
        super().__init__(f"Iteration {step.path.rpartition('.')[2]}: {label}: {document['message']}")
        self.cause = root_code(document)


@dataclass(frozen=True)
class LoopEnd:
    """The end of a loop: with the results of its iterations, or with an error."""

    row: NodeRow
    result: Done | ForgeError


def begun_iterations(workflow: CompiledWorkflow, past: Iterable[Step]) -> frozenset[tuple[str | None, str]]:
    """Loops, and the paths of iterations in them that an earlier driver began, from its steps."""
    return frozenset((workflow.graph.nodes[step.node_id].parent_id, step.path) for step in past)


class Loops:
    """The open loops of one run; `scopes` builds their variables, `begun` are iterations of an earlier driver."""

    def __init__(
        self,
        workflow: CompiledWorkflow,
        schedule: Schedule,
        buffer: ProgressBuffer,
        scopes: ScopeBuilder,
        begun: Set[tuple[str | None, str]] = frozenset(),
    ) -> None:
        self._workflow = workflow
        self._schedule = schedule
        self._buffer = buffer
        self._scopes = scopes
        self._begun = begun  # loops and paths of iterations with steps of an earlier driver
        self._open: dict[Step, datetime] = {}  # with their start
        self._ends: dict[Step, datetime] = {}  # of loops with a time limit

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Step]:
        return iter(list(self._open))

    def enter(self, step: Step, effect: Iterate, started_at: datetime) -> Advance:
        """Begin a loop."""
        self._open[step] = started_at
        if end := time_limits.ends_at(self._node(step), started_at):
            self._ends[step] = end
        self._buffer.node(NodeRow(step, NodeStatus.RUNNING, 1, started_at))
        self._buffer.event("node.started", f"{self._node(step).label} started.", step=step)
        return self._schedule.enter(step, effect)

    def start_iterations(self, loop: Step) -> tuple[Advance, LoopEnd | None]:
        """Start as many iterations as the loop allows, or end it after its last one."""
        advance = Advance()
        try:
            while self._schedule.wants_more(loop) and self._goes_on(loop):
                advance.add(self._schedule.iterate(loop))
        except ForgeError as error:
            self._schedule.leave(loop)
            return advance, LoopEnd(self._row(loop, NodeStatus.FAILED), error)
        if self._schedule.has_loop(loop) and self._schedule.is_idle(loop):
            row = self._row(loop, NodeStatus.SUCCESS)
            return advance, LoopEnd(row, Done(self._schedule.leave(loop)))
        return advance, None

    @property
    def next_end(self) -> datetime | None:
        """When the first loop must have ended."""
        return min(self._ends.values(), default=None)

    def late(self) -> list[Step]:
        """The loops whose time limit has passed."""
        now = clock.now()
        return [loop for loop, end in self._ends.items() if end <= now]

    def failure(self, step: Step, document: Mapping[str, Json]) -> ForgeError:
        """The error of a loop in which `step` failed without a handler."""
        return IterationFailed(self._node(step).label, step, document)

    def timeout(self, loop: Step) -> ForgeError:
        """The error of a loop that took too long."""
        return time_limits.NodeTimedOut(self._node(loop).limit)

    def abandon(self, loop: Step) -> NodeRow:
        """Fail the loop and cancel the loops in it; return its own row."""
        for inner in self:
            if self._schedule.is_inside(inner, loop):
                self._close(inner)
        self._schedule.leave(loop)
        return self._row(loop, NodeStatus.FAILED)

    def close(self) -> None:
        """Cancel all loops, because the run ends early."""
        for loop in self:
            self._close(loop)

    def _goes_on(self, loop: Step) -> bool:
        """Whether there is another item, or the loop's condition holds for another iteration."""
        following = self._schedule.next_iteration(loop)
        if following is None:
            return False
        condition = self._workflow.configs[loop.node_id].loop_condition
        if condition is None:
            return True
        index, item = following
        if (loop.node_id, loop.inner_path(index)) in self._begun:
            return True  # an earlier driver decided, perhaps by the time of then
        return condition.holds(self._scopes.iteration_scope(loop, index, item, clock.now()), index)

    def _close(self, loop: Step) -> None:
        self._buffer.node(replace(self._row(loop, NodeStatus.CANCELLED), finished_at=clock.now()))

    def _row(self, loop: Step, status: NodeStatus) -> NodeRow:
        self._ends.pop(loop, None)
        return NodeRow(loop, status, 1, self._open.pop(loop))

    def _node(self, step: Step) -> Node:
        return self._workflow.graph.nodes[step.node_id]
