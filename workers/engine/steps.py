"""What happens to one step after another: begun, settled, failed by its policy, repeated by its loop.

Owned by the driver's thread. Whatever must wait for the outside is handed to `Attempts`, whatever must be kept to the
`Recorder`; what may follow comes back from the `Schedule` and lands in `ready`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from models.errors import ForgeError
from models.rules.effects import AgentTurn, Answer, Done, Effect, Iterate, Pause, RunWorkflow
from models.rules.graph import ERROR_PORT, Node
from models.rules.kinds import NodeCall
from models.rules.schedule import Advance, Schedule, Step
from models.rules.states import NodeStatus
from models.rules.subworkflows import MAX_DEPTH
from models.services.journal import NodeRow
from models.services.leases import Lease, PastStep
from workers.engine import clock
from workers.engine.attempts import Attempts
from workers.engine.budget import Budget
from workers.engine.children import Child, Children
from workers.engine.endings import Reason, WorkerDied
from workers.engine.loops import Loops
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
    children: Children = field(init=False)  # likewise
    ready: deque[Step] = field(default_factory=deque)
    blocked: list[Step] = field(default_factory=list)  # ready, but past the cap on credits
    waits: Waits = field(default_factory=Waits)
    kept_bytes: int = 0

    def __post_init__(self) -> None:
        self.schedule = Schedule(self.workflow.plan)
        self._facts = execution_facts(self.lease)
        self.loops = Loops(
            self.workflow, self.schedule, self.recorder, see=self._see, on_success=self.succeed, on_failure=self.fail
        )
        self.budget = Budget(self.lease.cap, self.workflow, self.recorder)

    def begin(self, step: Step) -> None:
        """Take one step as far as it goes without waiting."""
        if not self.schedule.knows(step):
            return  # its loop was given up
        past = self.past.pop(step, None)
        if past and past.status in (NodeStatus.SUCCESS, NodeStatus.FAILED):
            self._replay(step, past)
            return
        if not self.affordable(step, past):
            self.blocked.append(step)
            if past:
                self.past[step] = past
            return
        started_at = clock.now()
        try:
            call = self._call(step)
            asked = self.workflow.kinds[step.node_id].begin(call)
        except ForgeError as error:
            self.fail(NodeRow(step, NodeStatus.FAILED, 1, started_at), error)
        else:
            self._do(step, call, asked, started_at, past)

    def _do(
        self, step: Step, call: NodeCall, asked: Done | Effect, started_at: datetime, past: PastStep | None
    ) -> None:
        """Keep a result that is there at once, or see to what the node asks for."""
        if isinstance(asked, Done):
            self.succeed(NodeRow(step, NodeStatus.SUCCESS, 1, started_at), asked)
        elif isinstance(asked, Iterate):
            self.follow(self.loops.enter(step, asked, started_at))
        elif isinstance(asked, Pause):
            self._pause(Wait(step, call, started_at, reference_of(asked)), past)
        elif isinstance(asked, RunWorkflow):
            retry = self.workflow.kinds[step.node_id].retry_for(call)
            self.children.begin(Child(step, call, started_at, effect=asked, retry=retry), past)
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
            self.fail(running.row(NodeStatus.FAILED), error)
            return
        self.succeed(running.row(NodeStatus.SUCCESS), done)

    def postpone(self, running: Running, reference: dict[str, Json]) -> None:
        """An effect whose next attempt is far away waits as a row, for what `reference` says."""
        self.attempts.drop(running)
        self._pause(Wait(running.step, running.call, running.started_at, running.waiting(reference), running))

    def go_on(self, wait: Wait) -> None:
        """Let a step go on whose time has come or whose answer is there, unless another one has ended its wait."""
        if not self.waits.holds(wait):
            return
        self.waits.drop(wait)
        if isinstance(wait, Child):
            self.children.go_on(wait)
        elif wait.running:
            self.attempts.launch(wait.running)
        else:
            done = self.workflow.kinds[wait.step.node_id].finish(wait.call, wait.verdict())
            self.succeed(wait.row(NodeStatus.SUCCESS), done)

    def learn(self, rows: Mapping[Step, PastStep]) -> None:
        """Take over what was answered meanwhile, also for steps that this driver has not come to yet."""
        self.waits.learn(rows)
        self.past.update({step: row for step, row in rows.items() if step in self.past})

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
                advance.add(self.loops.take_turns(loop))

    def affordable(self, step: Step, past: PastStep | None = None) -> bool:
        """Whether the run's cap covers this step, or what it goes on with, beside those under way."""
        busy = len(self.attempts) + len(self.loops) + len(self.waits) + len(self.children)
        is_open = past is not None and past.status is NodeStatus.WAITING
        starts_run = step.node_id in self.workflow.callers and self.lease.depth < MAX_DEPTH and not is_open
        return self.budget.covers(step, busy, self.under_way, child=starts_run)

    def under_way(self) -> list[Step]:
        """The steps that may still have to be paid."""
        return [*(job.step for job in (*self.attempts, *self.waits, *self.children)), *self.loops]

    def unblock(self) -> None:
        """There may be more credits than before: ask again for what they did not reach for."""
        self.ready.extend(self.blocked)
        self.blocked.clear()

    def wait_for(self, wait: Wait) -> None:
        """Go on with a step when its wait is over, which the driver sees."""
        self.waits.add(wait)

    def _call(self, step: Step) -> NodeCall:
        seen, arrived = self._see(step), self.schedule.incoming(step)
        config = self.workflow.configs[step.node_id].resolve(seen)
        return NodeCall(self._node(step), config, seen, seen["data"], arrived or {})

    def _see(self, step: Step) -> dict[str, Json]:
        """What a step's expressions see."""
        data = incoming(self.schedule, step, self.schedule.incoming(step), self.lease.input)
        return scope(self.schedule, step, self.lease.input, self._facts, data)

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
                self.fail(running.row(NodeStatus.FAILED), WorkerDied())
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
        self.wait_for(wait)

    def _replay(self, step: Step, past: PastStep) -> None:
        """An earlier driver settled this step, and its policy with it."""
        if past.status is NodeStatus.SUCCESS:
            self._settle(step, succeeded=True, port=past.port, output=past.output)
        else:
            self._apply_policy(step, past.error)

    def succeed(self, row: NodeRow, done: Done) -> None:
        """A step came to a good end, if its result can be kept."""
        step = row.step
        try:
            output, encoded = encode(done.output)
            self.kept_bytes += len(encoded)
            if self.kept_bytes > MAX_RUN:
                raise OutputRefused(f"The results of this run together pass {MAX_RUN:,} bytes.")
        except OutputRefused as error:
            self.fail(row, error)
            return
        price = self.workflow.prices[step.node_id]
        self.recorder.node(replace(row, finished_at=clock.now(), port=done.port, output=encoded, credits=price))
        self.recorder.event("node.success", f"{self._node(step).label} finished.", step=step)
        self._settle(step, succeeded=True, port=done.port, output=output)

    def fail(self, row: NodeRow, error: ForgeError) -> None:
        """A step failed for good; what follows is up to its `onError`."""
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
        if isinstance(wait, Child):
            self.children.give_up(wait)
        else:
            self.recorder.node(replace(wait.row(NodeStatus.CANCELLED), finished_at=clock.now()))

    def _abandon(self, loop: Step, step: Step, document: Mapping[str, Json]) -> None:
        """An iteration failed and nothing in it takes care of that: what runs and waits in its loop is stopped."""
        for running in self.attempts:
            if self.schedule.is_inside(running.step, loop):
                self.attempts.stop(running)
        for wait in (*self.waits, *self.children):
            if self.schedule.is_inside(wait.step, loop):
                self.give_up(wait)
        self.loops.abandon(loop, step, document)

    def _node(self, step: Step) -> Node:
        return self.workflow.graph.nodes[step.node_id]
