"""What happens to one step after another: begun, settled, failed by its policy, repeated by its loop.

Owned by the driver's thread. Whatever must wait for the outside is handed to `Attempts`, whatever must be kept to the
`Recorder`; what may follow comes back from the `Schedule` and lands in `ready`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from models.errors import ForgeError
from models.rules.effects import AgentTurn, Answer, Done, Iterate, Pause
from models.rules.graph import ERROR_PORT, Node
from models.rules.kinds import NodeCall
from models.rules.pricing import COSTS
from models.rules.schedule import Advance, Schedule, Step
from models.rules.states import NodeStatus
from models.services.journal import NodeRow
from models.services.leases import Lease, PastStep
from workers.engine import clock
from workers.engine.attempts import Attempts
from workers.engine.endings import Reason, WorkerDied
from workers.engine.outputs import MAX_RUN, OutputRefused, encode
from workers.engine.recorder import Recorder
from workers.engine.running import Running
from workers.engine.scope import execution_facts, incoming, scope
from workers.engine.waits import Wait, Waits, reference_of
from workers.engine.workflow import Workflow
from workers.gateways.base import CallFailed

Json = Any


@dataclass
class Steps:
    """The steps of one run. `stop` ends the run early."""

    lease: Lease
    workflow: Workflow
    past: dict[Step, PastStep]
    recorder: Recorder
    stop: Callable[[Reason], None]
    attempts: Attempts = field(init=False)  # set by the driver: it reports back to `answered`
    ready: deque[Step] = field(default_factory=deque)
    blocked: list[Step] = field(default_factory=list)  # ready, but past the cap on credits
    loops: dict[Step, datetime] = field(default_factory=dict)  # running loops, and when they started
    waits: Waits = field(default_factory=Waits)
    kept_bytes: int = 0

    def __post_init__(self) -> None:
        self.schedule = Schedule(self.workflow.plan)
        self._facts = execution_facts(self.lease)
        self._dearest = max(self.workflow.prices.values(), default=Decimal(0))

    def begin(self, step: Step) -> None:
        """Take one step as far as it goes without waiting."""
        if not self.schedule.knows(step):
            return  # its loop was given up
        past = self.past.pop(step, None)
        if past and past.status in (NodeStatus.SUCCESS, NodeStatus.FAILED):
            self._replay(step, past)
            return
        if not self.affordable(step):
            self.blocked.append(step)
            return
        started_at = clock.now()
        try:
            call = self._call(step)
            asked = self.workflow.kinds[step.node_id].begin(call)
        except ForgeError as error:
            self._fail(NodeRow(step, NodeStatus.FAILED, 1, started_at), error)
            return
        if isinstance(asked, Done):
            self._succeed(NodeRow(step, NodeStatus.SUCCESS, 1, started_at), asked)
        elif isinstance(asked, Iterate):
            self._enter(step, asked, started_at)
        elif isinstance(asked, Pause):
            self._pause(Wait(step, call, started_at, reference_of(asked)), past)
        else:
            node, kind = call.node, self.workflow.kinds[step.node_id]
            effect = replace(asked, timeout=node.timeout) if node.timeout else asked
            self._launch(Running(step, call, effect, kind.retry_for(call)), past)

    def answered(self, running: Running, outcome: Answer | CallFailed) -> None:
        """An effect ended for good: its answer, or why there is none."""
        self.attempts.drop(running)
        try:
            if isinstance(outcome, CallFailed):
                raise outcome
            done = self.workflow.kinds[running.step.node_id].finish(running.call, outcome)
        except ForgeError as error:
            self._fail(running.row(NodeStatus.FAILED), error)
            return
        self._succeed(running.row(NodeStatus.SUCCESS), done)

    def postpone(self, running: Running, reference: dict[str, Json]) -> None:
        """An effect whose next attempt is far away waits as a row, for what `reference` says."""
        self.attempts.drop(running)
        self._pause(Wait(running.step, running.call, running.started_at, running.waiting(reference), running))

    def go_on(self) -> None:
        """Let every step go on whose time has come or whose answer is there."""
        for wait in self.waits.over():
            self.waits.drop(wait)
            if wait.running:
                self.attempts.launch(wait.running)
                continue
            done = self.workflow.kinds[wait.step.node_id].finish(wait.call, wait.verdict())
            self._succeed(wait.row(NodeStatus.SUCCESS), done)

    def follow(self, advance: Advance) -> None:
        """Put what may start in line, record what never will, and let loops take their turns."""
        while True:
            self.ready.extend(advance.ready)
            for step in advance.skipped:
                self._skip(step)
            turns, advance = advance.turns, Advance()
            if not turns:
                return
            for loop in turns:
                advance.add(self._take_turns(loop))

    def affordable(self, step: Step) -> bool:
        """Whether the run's cap covers this step beside those under way and the run's fee."""
        busy = len(self.attempts) + len(self.loops) + len(self.waits)
        spent = self.recorder.charged + self.workflow.prices[step.node_id] + COSTS["workflow_execution"]
        if spent + busy * self._dearest <= self.lease.cap:
            return True
        under_way = [*(job.step for job in (*self.attempts, *self.waits)), *self.loops]
        return spent + sum(self.workflow.prices[s.node_id] for s in under_way) <= self.lease.cap

    def _call(self, step: Step) -> NodeCall:
        node = self._node(step)
        arrived = self.schedule.incoming(step)
        data = incoming(self.schedule, step, arrived, self.lease.input)
        seen = scope(self.schedule, step, self.lease.input, self._facts, data)
        return NodeCall(node, self.workflow.configs[step.node_id].resolve(seen), seen, data, arrived or {})

    def _launch(self, running: Running, past: PastStep | None) -> None:
        """Start an effect. What was under way when its worker died is the same attempt again, under the same key."""
        if past and past.status is NodeStatus.WAITING:  # parked between two attempts
            running.resume(past)
            if past.external_ref["type"] == "api_calls":  # whether there are some now is for the count to say
                self.attempts.launch(running)
                return
            self._pause(Wait(running.step, running.call, running.started_at, past.external_ref, running), past)
            return
        if past and past.status is NodeStatus.PENDING:  # set aside between two attempts
            running.resume(past)
        if past and past.status is NodeStatus.RUNNING:
            running.resume(past)
            found_again = isinstance(running.effect, AgentTurn) and running.left_behind
            if running.call.node.on_crash == "fail" and not found_again:
                self._fail(running.row(NodeStatus.FAILED), WorkerDied())
                return
        self.attempts.launch(running)

    def _pause(self, wait: Wait, past: PastStep | None = None) -> None:
        """Wait, or go on waiting as an earlier driver did."""
        if past and past.status is NodeStatus.WAITING and past.external_ref:
            wait.reference, wait.started_at = past.external_ref, past.started_at or wait.started_at
        else:
            self.recorder.node(wait.row(NodeStatus.WAITING))
            message = f"{wait.call.node.label}: {wait.reference['message']}"
            self.recorder.event("node.waiting", message, step=wait.step, data=wait.told())
        self.waits.add(wait)
        self.go_on()

    def _replay(self, step: Step, past: PastStep) -> None:
        """An earlier driver settled this step, and its policy with it."""
        if past.status is NodeStatus.SUCCESS:
            self._settle(step, succeeded=True, port=past.port, output=past.output)
        else:
            self._apply_policy(step, past.error)

    def _succeed(self, row: NodeRow, done: Done) -> None:
        step = row.step
        try:
            output, encoded = encode(done.output)
            self.kept_bytes += len(encoded)
            if self.kept_bytes > MAX_RUN:
                raise OutputRefused(f"The results of this run together pass {MAX_RUN:,} bytes.")
        except OutputRefused as error:
            self._fail(row, error)
            return
        price = self.workflow.prices[step.node_id]
        self.recorder.node(replace(row, finished_at=clock.now(), port=done.port, output=encoded, credits=price))
        self.recorder.event("node.success", f"{self._node(step).label} finished.", step=step)
        self._settle(step, succeeded=True, port=done.port, output=output)

    def _fail(self, row: NodeRow, error: ForgeError) -> None:
        step, node = row.step, self._node(row.step)
        document = {"code": error.code, "message": error.detail, "nodeId": step.node_id, "attempts": row.attempt}
        if step.path:
            document["path"] = step.path
        _, default = encode(node.default_value if node.on_error == "continue" else None)
        self.recorder.node(
            replace(row, status=NodeStatus.FAILED, finished_at=clock.now(), error=document, output=default)
        )
        self.recorder.event(
            "node.failed", f"{node.label} failed: {error.detail}", step=step, level="error", data=document
        )
        self._apply_policy(step, document)

    def _apply_policy(self, step: Step, document: Json) -> None:
        """`onError`: end the run (or the loop around the node), go on with a default, or take the error port."""
        node = self._node(step)
        if node.on_error == "continue":
            self._settle(step, succeeded=True, output=node.default_value)
        elif node.on_error == "branch":
            self._settle(step, succeeded=False, port=ERROR_PORT, output={"error": document})
        elif loop := self.schedule.enclosing_loop(step):
            self._abandon(loop, step, document)
        else:
            self.stop(Reason.failed(document))

    def _settle(self, step: Step, *, succeeded: bool, port: str | None = None, output: Json = None) -> None:
        if self.schedule.knows(step):
            self.follow(self.schedule.settle(step, succeeded=succeeded, port=port, output=output))

    def _skip(self, step: Step) -> None:
        past = self.past.pop(step, None)
        if past is None:
            now = clock.now()
            self.recorder.node(NodeRow(step, NodeStatus.SKIPPED, 0, now, now))
            self.recorder.event("node.skipped", f"{self._node(step).label} was not needed.", step=step)

    def give_up(self, wait: Wait) -> None:
        """Wait no longer."""
        self.waits.drop(wait)
        self.recorder.node(replace(wait.row(NodeStatus.CANCELLED), finished_at=clock.now()))

    # Loops

    def _enter(self, step: Step, effect: Iterate, started_at: datetime) -> None:
        self.loops[step] = started_at
        self.recorder.node(NodeRow(step, NodeStatus.RUNNING, 1, started_at))
        self.recorder.event("node.started", f"{self._node(step).label} started.", step=step)
        self.follow(self.schedule.enter(step, effect))

    def _take_turns(self, loop: Step) -> Advance:
        """Start as many iterations as the loop allows, or finish it when it had its last one."""
        advance = Advance()
        try:
            while self.schedule.wants_more(loop) and self._goes_on(loop):
                advance.add(self.schedule.iterate(loop))
        except ForgeError as error:
            self.schedule.leave(loop)
            self._fail(self._loop_row(loop, NodeStatus.FAILED), error)
            return advance
        if self.schedule.has_loop(loop) and self.schedule.is_idle(loop):
            row = self._loop_row(loop, NodeStatus.SUCCESS)
            self._succeed(row, Done(self.schedule.leave(loop)))
        return advance

    def _goes_on(self, loop: Step) -> bool:
        """Whether there is another item, or the loop's condition holds for another iteration."""
        following = self.schedule.next_iteration(loop)
        if following is None:
            return False
        condition = self.workflow.configs[loop.node_id].loop_condition
        if condition is None:
            return True
        index, item = following
        data = incoming(self.schedule, loop, self.schedule.incoming(loop), self.lease.input)
        seen = scope(self.schedule, loop, self.lease.input, self._facts, data) | {"index": index, "item": item}
        return condition.holds(seen, index)

    def _abandon(self, loop: Step, step: Step, document: Mapping[str, Json]) -> None:
        """An iteration failed and nothing in it takes care of that: the loop fails with it."""
        for running in self.attempts:
            if self.schedule.is_inside(running.step, loop):
                self.attempts.stop(running)
        for wait in self.waits:
            if self.schedule.is_inside(wait.step, loop):
                self.give_up(wait)
        for inner in [other for other in self.loops if self.schedule.is_inside(other, loop)]:
            self.recorder.node(replace(self._loop_row(inner, NodeStatus.CANCELLED), finished_at=clock.now()))
        self.schedule.leave(loop)
        self._fail(self._loop_row(loop, NodeStatus.FAILED), IterationFailed(self._node(step).label, step, document))

    def _loop_row(self, loop: Step, status: NodeStatus) -> NodeRow:
        return NodeRow(loop, status, 1, self.loops.pop(loop))

    def _node(self, step: Step) -> Node:
        return self.workflow.graph.nodes[step.node_id]


class IterationFailed(ForgeError):
    """A node in a loop failed."""

    code = "iteration_failed"

    def __init__(self, label: str, step: Step, document: Mapping[str, Json]) -> None:
        super().__init__(f"Iteration {step.path.rpartition('.')[2]}: {label}: {document['message']}")
