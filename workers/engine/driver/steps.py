"""The life cycle of steps: begun, settled, failed by their policy, repeated by their loop.

Owned by the driver's thread. It owns the attempts, child runs, loops, paused steps and the budget; none of them refers
to it. The `Schedule` returns the steps that may follow, which go into `ready`.
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from models.errors import ForgeError
from models.rules.executions.schedule import Advance, Schedule, Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.effects import Done, Effect, EffectResult, Iterate, Pause, RunWorkflow
from models.rules.graph.graph import ERROR_PORT
from models.rules.graph.kinds import NodeCall
from models.rules.lint.subworkflows import MAX_DEPTH
from models.rules.prices import charging
from models.serialization import Json
from models.services.orchestration.journal import NodeRow
from models.services.orchestration.leases import Lease, PastStep
from workers.engine.attempts import resumption
from workers.engine.attempts.resources import EngineResources
from workers.engine.attempts.resumption import WorkerDied, resume_attempt
from workers.engine.attempts.runner import AttemptFinished, AttemptRunner
from workers.engine.driver.budget import CreditBudget
from workers.engine.driver.child_runs import ChildBlocked, ChildMove, ChildRuns, ChildSucceeded, ChildWaits
from workers.engine.driver.child_step import ChildStep
from workers.engine.driver.loops import LoopEnd, Loops, begun_iterations
from workers.engine.driver.open_steps import OpenSteps
from workers.engine.driver.paused_steps import PausedStep, PausedSteps
from workers.engine.driver.step_records import StepRecords
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values import clock, time_limits
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.compiled_workflow import CompiledWorkflow
from workers.engine.values.events import NodeFailed, Post
from workers.engine.values.outputs import OutputRefused, RunTooLarge
from workers.engine.values.scope import ScopeBuilder
from workers.engine.values.time_limits import NodeTimedOut
from workers.engine.values.wait_reasons import WaitReason, pause_reason, read_reason
from workers.gateways.base import CallFailed


class Steps:
    """The steps of one run."""

    def __init__(
        self,
        lease: Lease,
        workflow: CompiledWorkflow,
        past: Mapping[Step, PastStep],
        schedule: Schedule,
        buffer: ProgressBuffer,
        resources: EngineResources,
        post: Post,
    ) -> None:
        self.schedule = schedule
        self.past = dict(past)
        self.ready: deque[Step] = deque()
        self.blocked: list[Step] = []  # ready, but not covered by the run's credits
        self._lease, self._workflow, self._post = lease, workflow, post
        self._records = StepRecords(workflow, buffer)
        self._scopes = ScopeBuilder(lease, workflow, schedule, buffer.fuel)
        self.budget = CreditBudget(lease.cap, workflow, buffer, resumption.owed(self.past))
        self.loops = Loops(workflow, schedule, buffer, self._scopes, begun_iterations(workflow, past))
        self.paused = PausedSteps()
        self.attempts = AttemptRunner(lease, buffer, resources, post)
        self.children = ChildRuns(lease, buffer, self.budget, resources.enqueue, post)
        self.open = OpenSteps(schedule, buffer, self.past, self.attempts, self.children, self.paused, self.loops)

    def start(self) -> None:
        """Queue the first steps."""
        self._follow(self.schedule.start())

    def begin_next(self) -> None:
        """Take the next ready step as far as possible without waiting."""
        step = self.ready.popleft()
        if not self.schedule.knows(step):
            return  # its loop was given up
        past = self.past.pop(step, None)
        if past and past.status in (NodeStatus.SUCCESS, NodeStatus.FAILED):
            self._replay(step, past)
            return
        if not self._is_affordable(step, past):
            self.blocked.append(step)
            if past:
                self.past[step] = past
            return
        self.budget.take_over(step)
        started_at = clock.now()
        try:
            call = self._scopes.resolve_call(step, (past and past.started_at) or started_at)
            asked = time_limits.checked(self._workflow.kinds[step.node_id].begin(call), call.node, started_at)
        except ForgeError as error:
            self._fail(NodeRow(step, NodeStatus.FAILED, 1, started_at), error)
        else:
            self._do(step, call, asked, started_at, past)

    def _do(
        self, step: Step, call: NodeCall, asked: Done | Effect, started_at: datetime, past: PastStep | None
    ) -> None:
        """Record an immediate result, or start the effect that the node requests."""
        if isinstance(asked, Done):
            self._succeed(NodeRow(step, NodeStatus.SUCCESS, 1, started_at), asked)
        elif isinstance(asked, Iterate):
            self._follow(self.loops.enter(step, asked, (past and past.started_at) or started_at))
        elif isinstance(asked, Pause):
            reason = pause_reason(asked, time_limits.ends_at(call.node, started_at))
            self._pause(PausedStep(step, call, started_at, reason), past)
        else:
            retry, price = self._workflow.kinds[step.node_id].retry_for(call), self._workflow.prices[step.node_id]
            if isinstance(asked, RunWorkflow):
                child = ChildStep(step, call, started_at, effect=asked, retry=retry, price=price)
                self._follow_child(child, self.children.begin(child, past))
            else:
                self._launch(StepAttempt(step, call, asked, retry, started_at=started_at, price=price), past)

    def attempt_moved(self, attempt: StepAttempt, move: AttemptFinished | WaitReason | None) -> None:
        """Continue the step of an attempt: its end, a wait, or nothing yet."""
        match move:
            case AttemptFinished(result):
                self._settle_attempt(attempt, result)
            case WaitReason():
                self._pause(PausedStep(attempt.step, attempt.call, attempt.started_at, move, attempt))

    def _settle_attempt(self, attempt: StepAttempt, result: EffectResult | CallFailed) -> None:
        self.attempts.drop(attempt)
        sent = attempt.sent and (result.sent if isinstance(result, CallFailed) else True)
        try:
            if isinstance(result, CallFailed):
                raise result
            done = self._workflow.kinds[attempt.step.node_id].finish(attempt.call, result)
        except ForgeError as error:
            self._fail(attempt.row(NodeStatus.FAILED), error, sent=sent, owed=attempt.owed)
            return
        self._succeed(attempt.row(NodeStatus.SUCCESS), done)

    def start_child(self, step: Step) -> None:
        """Start a step's child run, now that all before it is stored; it may have been given up meanwhile."""
        if child := self.children.starting(step):
            others = [other for other in self.open.steps() if other != step]
            self._follow_child(child, self.children.start_stored(child, others))

    def _follow_child(self, child: ChildStep, move: ChildMove) -> None:
        """Continue the step of a child run."""
        match move:
            case ChildWaits(started):
                self.paused.add(child)
                if started:
                    self.unblock()
            case ChildBlocked():  # it is queued again, with its attempt number
                self.past[child.step] = PastStep(NodeStatus.RUNNING, child.number, started_at=child.started_at)
                self.blocked.append(child.step)
            case ChildSucceeded(output):
                done: Done = self._workflow.kinds[child.step.node_id].finish(child.call, output)
                self._succeed(child.row(NodeStatus.SUCCESS), done)
            case ForgeError():
                self._fail(child.row(NodeStatus.FAILED), move, sent=child.run_id is not None)

    def _go_on(self, paused: PausedStep) -> None:
        """Continue a step whose wait is over, unless another step has ended its wait."""
        if not self.paused.holds(paused):
            return
        self.paused.drop(paused)
        if isinstance(paused, ChildStep):
            self._follow_child(paused, self.children.go_on(paused))
        elif paused.next_attempt:
            self.attempts.launch(paused.next_attempt)
        elif paused.is_cut_off:
            self._fail(paused.row(NodeStatus.FAILED), NodeTimedOut(paused.call.node.limit))
        else:
            done = self._workflow.kinds[paused.step.node_id].finish(paused.call, paused.verdict)
            self._succeed(paused.row(NodeStatus.SUCCESS), done)

    def refresh_answers(self, rows: Mapping[Step, PastStep], cap: Decimal) -> None:
        """Take over answers given meanwhile, also of steps not reached yet, and the present hold."""
        self.paused.refresh(rows)
        self.past.update({step: row for step, row in rows.items() if step in self.past})
        self.budget.cap = cap
        self.unblock()

    def _follow(self, advance: Advance) -> None:
        """Queue steps that may start, record skipped ones, and let loops start their iterations."""
        while True:
            self.ready.extend(advance.ready)
            for step in advance.skipped:
                if self.past.pop(step, None) is None:
                    self._records.skipped(step)
            loops, advance = advance.iterations, Advance()
            if not loops:
                return
            for loop in loops:
                started, end = self.loops.start_iterations(loop)
                match end:
                    case LoopEnd(row, Done() as done):
                        self._succeed(row, done)
                    case LoopEnd(row, ForgeError() as error):
                        self._fail(row, error)
                advance.add(started)

    def _is_affordable(self, step: Step, past: PastStep | None) -> bool:
        """Whether the run's cap covers this step, or its continuation, beside the steps in progress."""
        child = self._starts_run(step, past)
        if self.budget.surely_covers(step, self.open.count, child=child):
            return True
        return self.budget.covers(step, self.open.steps(), child=child)

    @property
    def can_unblock(self) -> bool:
        """Whether the cap covers the first blocked step by now."""
        return self._is_affordable(self.blocked[0], self.past.get(self.blocked[0]))

    @property
    def needed_cap(self) -> Decimal:
        """The cap that the first blocked step needs."""
        step = self.blocked[0]
        return self.budget.needed(step, self.open.steps(), child=self._starts_run(step, self.past.get(step)))

    def _starts_run(self, step: Step, past: PastStep | None) -> bool:
        is_open = past is not None and past.status is NodeStatus.WAITING
        return step.node_id in self._workflow.callers and self._lease.depth < MAX_DEPTH and not is_open

    def unblock(self) -> None:
        """Queue all blocked steps again, because there may be more credits than before."""
        self.ready.extend(self.blocked)
        self.blocked.clear()

    def go_on_with_time(self) -> None:
        """Continue steps whose wait is over, and end loops whose time limit has passed."""
        for paused in self.paused.over():
            self._go_on(paused)
        for loop in self.loops.late():
            if self.schedule.has_loop(loop):
                self._abandon(loop, self.loops.timeout(loop), charged=True)

    def _launch(self, attempt: StepAttempt, past: PastStep | None) -> None:
        """Start an effect, or continue one that an earlier driver left."""
        match resume_attempt(attempt, past):
            case WaitReason() as reason:
                self._pause(PausedStep(attempt.step, attempt.call, attempt.started_at, reason, attempt), past)
            case WorkerDied() as error:
                self._fail(attempt.row(NodeStatus.FAILED), error, owed=attempt.owed)
            case None:
                self.attempts.launch(attempt)

    def _pause(self, paused: PausedStep, past: PastStep | None = None) -> None:
        """Wait, or go on waiting as an earlier driver did."""
        if past and past.status is NodeStatus.WAITING and past.external_ref:
            paused.reason, paused.started_at = read_reason(past.external_ref), past.started_at or paused.started_at
        else:
            self._records.paused(paused)
        self.paused.add(paused)

    def _replay(self, step: Step, past: PastStep) -> None:
        """Apply the result of a step that an earlier driver settled."""
        if past.status is NodeStatus.SUCCESS:
            self._settle(step, succeeded=True, port=past.port, output=past.output)
        else:
            self._apply_policy(step, past.error)

    def _succeed(self, row: NodeRow, done: Done) -> None:
        """Record a success and settle the step, if its result can be stored."""
        try:
            output = self._records.success(row, done)
        except (OutputRefused, RunTooLarge) as error:
            self._fail(row, error, sent=True)
            return
        self._settle(row.step, succeeded=True, port=done.port, output=output)

    def _fail(self, row: NodeRow, error: ForgeError, *, sent: bool = False, owed: bool = False) -> None:
        """Record a final failure and apply the node's `onError`."""
        self._apply_policy(row.step, self._records.failure(row, error, sent=sent, owed=owed))

    def _apply_policy(self, step: Step, document: Json) -> None:
        """Apply `onError`: end the run (or the enclosing loop), continue with a default, or take the error port."""
        node = self._workflow.graph.nodes[step.node_id]
        if document["code"] == RunTooLarge.code:
            self._post(NodeFailed(document))
        elif node.on_error == "continue":
            self._settle(step, succeeded=True, output=node.default_value)
        elif node.on_error == "branch":
            self._settle(step, succeeded=False, port=ERROR_PORT, output={"error": document})
        elif loop := self.schedule.enclosing_loop(step):
            self._abandon(loop, self.loops.failure(step, document), charged=not charging.is_ours(document))
        else:
            self._post(NodeFailed(document))

    def _settle(self, step: Step, *, succeeded: bool, port: str | None = None, output: Json = None) -> None:
        if self.schedule.knows(step):
            self._follow(self.schedule.settle(step, succeeded=succeeded, port=port, output=output))

    def _abandon(self, loop: Step, error: ForgeError, *, charged: bool) -> None:
        """Fail a loop before its end, with everything open in it."""
        self.open.give_up_inside(loop, charged=charged)
        self.blocked = [step for step in self.blocked if not self.schedule.is_inside(step, loop)]
        self._fail(self.loops.abandon(loop), error)
