"""The open loops of one run: they start iterations as long as they may, and end with the results of all of them.

Owned by the driver's thread.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from models.errors import ForgeError
from models.rules.effects import Done, Iterate
from models.rules.schedule import Advance, Schedule, Step
from models.rules.states import NodeStatus
from models.services.journal import NodeRow
from workers.engine import clock
from workers.engine.recorder import Recorder
from workers.engine.workflow import Workflow

Json = Any


class IterationFailed(ForgeError):
    """A node in a loop failed."""

    code = "iteration_failed"

    def __init__(self, label: str, step: Step, document: Mapping[str, Json]) -> None:
        super().__init__(f"Iteration {step.path.rpartition('.')[2]}: {label}: {document['message']}")


class Loops:
    """`see` answers what a step's expressions see; `on_success` and `on_failure` hear how a loop ended."""

    def __init__(
        self,
        workflow: Workflow,
        schedule: Schedule,
        recorder: Recorder,
        *,
        see: Callable[[Step], dict[str, Json]],
        on_success: Callable[[NodeRow, Done], None],
        on_failure: Callable[[NodeRow, ForgeError], None],
    ) -> None:
        self._workflow = workflow
        self._schedule = schedule
        self._recorder = recorder
        self._see = see
        self._on_success = on_success
        self._on_failure = on_failure
        self._open: dict[Step, datetime] = {}  # and when they started

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Step]:
        return iter(list(self._open))

    def enter(self, step: Step, effect: Iterate, started_at: datetime) -> Advance:
        """Begin a loop."""
        self._open[step] = started_at
        self._recorder.node(NodeRow(step, NodeStatus.RUNNING, 1, started_at))
        self._recorder.event("node.started", f"{self._label(step)} started.", step=step)
        return self._schedule.enter(step, effect)

    def take_turns(self, loop: Step) -> Advance:
        """Start as many iterations as the loop allows, or finish it when it had its last one."""
        advance = Advance()
        try:
            while self._schedule.wants_more(loop) and self._goes_on(loop):
                advance.add(self._schedule.iterate(loop))
        except ForgeError as error:
            self._schedule.leave(loop)
            self._on_failure(self._row(loop, NodeStatus.FAILED), error)
            return advance
        if self._schedule.has_loop(loop) and self._schedule.is_idle(loop):
            row = self._row(loop, NodeStatus.SUCCESS)
            self._on_success(row, Done(self._schedule.leave(loop)))
        return advance

    def abandon(self, loop: Step, step: Step, document: Mapping[str, Json]) -> None:
        """An iteration failed at `step` and nothing in it takes care of that: the loop fails, and those in it end."""
        for inner in self:
            if self._schedule.is_inside(inner, loop):
                self._close(inner)
        self._schedule.leave(loop)
        self._on_failure(self._row(loop, NodeStatus.FAILED), IterationFailed(self._label(step), step, document))

    def close(self) -> None:
        """The run ends early, and its loops with it."""
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
        return condition.holds(self._see(loop) | {"index": index, "item": item}, index)

    def _close(self, loop: Step) -> None:
        self._recorder.node(replace(self._row(loop, NodeStatus.CANCELLED), finished_at=clock.now()))

    def _row(self, loop: Step, status: NodeStatus) -> NodeRow:
        return NodeRow(loop, status, 1, self._open.pop(loop))

    def _label(self, step: Step) -> str:
        return self._workflow.graph.nodes[step.node_id].label
