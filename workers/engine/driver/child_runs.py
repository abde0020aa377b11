"""The child runs of one run: started once for every attempt, waited for as rows, retried where that is allowed.

Owned by the driver's thread, which starts them itself, because it alone knows the credits that the run can spare. The
methods return what follows for the step; only events that concern the whole run are posted.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.errors import ForgeError, LeaseLost
from models.rules.executions.schedule import Step
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.lint.subworkflows import MAX_DEPTH
from models.serialization import Json
from models.services.orchestration import children
from models.services.orchestration.children import NeedsMore, Started, TooDeep, Wanted
from models.services.orchestration.leases import Lease, PastStep
from workers.engine.attempts.resources import EnqueueRun
from workers.engine.attempts.retry_policy import RetryDecision, after_failed_run
from workers.engine.driver.budget import CreditBudget
from workers.engine.driver.child_step import ChildFailed, ChildStep
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values import clock
from workers.engine.values.events import CancelRequested, ChildStartStored, OwnershipLost, Post
from workers.engine.values.time_limits import NodeTimedOut
from workers.engine.values.wait_reasons import ChildRetry, ChildStarting, read_reason

DATABASE_PAUSE = 1.0  # seconds until the next try while the database is unreachable
log = structlog.get_logger()


@dataclass(frozen=True)
class ChildWaits:
    """The step waits; with `started` the run gave credits to its child, and the rest may suffice for other steps."""

    started: bool = False


@dataclass(frozen=True)
class ChildBlocked:
    """The credits do not suffice for the child run now."""


@dataclass(frozen=True)
class ChildSucceeded:
    """The child run succeeded."""

    output: Json


# What follows for the step of a child run: None while its start is being stored, or when it was given up.
ChildMove = ChildWaits | ChildBlocked | ChildSucceeded | ForgeError | None


class ChildRuns:
    """The child runs that are being started; once started, they are paused steps like any other."""

    def __init__(
        self, lease: Lease, buffer: ProgressBuffer, budget: CreditBudget, enqueue: EnqueueRun, post: Post
    ) -> None:
        self._lease = lease
        self._buffer = buffer
        self._budget = budget
        self._enqueue = enqueue
        self._post = post
        self._starting: dict[Step, ChildStep] = {}

    def __len__(self) -> int:
        return len(self._starting)

    def __iter__(self) -> Iterator[ChildStep]:
        return iter(list(self._starting.values()))

    def starting(self, step: Step) -> ChildStep | None:
        """The child run of a step while its start is being stored."""
        return self._starting.get(step)

    def begin(self, child: ChildStep, past: PastStep | None) -> ChildMove:
        """Start a child run, or go on waiting for the one that an earlier driver started."""
        if past and past.status in (NodeStatus.WAITING, NodeStatus.RUNNING):
            child.number, child.started_at = past.attempt, past.started_at or child.started_at
        if self._lease.depth >= MAX_DEPTH:  # refused before credits are reserved
            return TooDeep()
        if past and past.status is NodeStatus.WAITING and past.external_ref:
            child.reason = read_reason(past.external_ref)
            return ChildWaits()
        self._start(child)
        return None

    def go_on(self, child: ChildStep) -> ChildMove:
        """Continue after the wait: the child run ended or took too long, or its next attempt is due."""
        if child.is_late:
            self._abandon_run(child)
            return NodeTimedOut(child.call.node.deadline)
        if child.run_id is None:
            self._start(child)
            return None
        if child.result is None:
            self._abandon_run(child)
            detail = f"The workflow took more than {child.call.node.timeout:g} seconds."
            return self._failed(child, ChildFailed("timeout", detail))
        status = child.result["status"]
        message = f"{child.call.node.label}: the workflow ended ({status})."
        facts = {"childExecutionId": str(child.run_id), "status": status}
        self._buffer.event("child.ended", message, step=child.step, data=facts)
        if status == ExecutionStatus.SUCCESS:
            return ChildSucceeded(child.result["output"])
        return self._failed(child, ChildFailed.of(child.result))

    def give_up(self, child: ChildStep, *, charged: bool) -> None:
        """Give up its step; the child run is stopped when that is recorded."""
        self._starting.pop(child.step, None)
        self._abandon_run(child)
        self._buffer.node(child.cancelled(charged=charged))

    def start_stored(self, child: ChildStep, others: Iterable[Step]) -> ChildMove:
        """Start the child run, now that all before it is stored; `others` are the steps in progress."""
        self._budget.uncertain_reserve -= child.uncertain_reserve
        most = max(self._budget.spare(child.step, others), child.uncertain_reserve)
        child.uncertain_reserve = Decimal(0)
        del self._starting[child.step]
        if most < self._budget.least_of(child.step):
            return ChildBlocked()
        try:
            with session_scope() as session:
                started = children.start(session, self._lease, self._wanted(child, most))
        except (OperationalError, PoolTimeout) as failure:
            log.warning("child.not_started", execution_id=str(self._lease.execution_id), error=type(failure).__name__)
            return self._uncertain(child, most)
        except NeedsMore as failure:
            self._budget.require(child.step, failure.least)
            return ChildBlocked()
        except LeaseLost:
            self._post(OwnershipLost())
            return None
        except ForgeError as failure:
            return failure
        return self._started(child, started)

    def _start(self, child: ChildStep) -> None:
        """Request the start of a child run, which follows once all before it is stored."""
        self._starting[child.step] = child
        child.reason = ChildStarting()
        self._buffer.node(child.row(NodeStatus.RUNNING))
        self._buffer.event("node.started", f"{child.call.node.label} started.", step=child.step)
        self._buffer.flush(ChildStartStored(child.step))

    def _uncertain(self, child: ChildStep, most: Decimal) -> ChildMove:
        """Keep the credits reserved and retry: it may have started although the response was lost."""
        child.uncertain_reserve = most
        self._budget.uncertain_reserve += most
        child.reason = ChildRetry.after(DATABASE_PAUSE, "The database is unreachable.")
        return ChildWaits()

    def _started(self, child: ChildStep, started: Started | None) -> ChildMove:
        if started is None:
            self.give_up(child, charged=True)
            self._post(CancelRequested())
            return None
        child.reason, self._budget.cap = read_reason(started.reference), started.cap
        facts = {name: started.reference[name] for name in ("childExecutionId", "workflowId")}
        message = f"{child.call.node.label}: {child.reason.message}"
        self._buffer.event("child.started", message, step=child.step, data=facts)
        self._enqueue(started.run)
        return ChildWaits(started=True)

    def _failed(self, child: ChildStep, failure: ChildFailed) -> ChildMove:
        chance = random.random()
        decision = after_failed_run(child.retry, child.number, retryable=failure.retryable, chance=chance)
        return self._try_again(child, failure, decision) if decision.retries else failure

    def _try_again(self, child: ChildStep, failure: ChildFailed, decision: RetryDecision) -> ChildMove:
        pause = decision.delay_seconds
        message = f"{child.call.node.label} failed: {failure.detail} {decision.sentence}"
        facts = {"code": failure.code, "attempt": child.number, "delay": round(pause, 3)}
        self._buffer.event("node.retrying", message, step=child.step, level="warning", data=facts)
        child.number += 1
        child.reason = ChildRetry.after(pause, f"Runs it again later: {failure.detail}", child.ends_at)
        self._buffer.node(child.row(NodeStatus.WAITING))
        return ChildWaits()

    def _abandon_run(self, child: ChildStep) -> None:
        if child.run_id:
            self._buffer.abandon(child.run_id)

    def _wanted(self, child: ChildStep, max_credits: Decimal) -> Wanted:
        timeout = child.call.node.timeout
        until = child.ends_at if timeout is None else _at(timeout, child.ends_at)
        return Wanted(child.step, child.number, child.effect, max_credits, child.started_at, until, child.price)


def _at(seconds: float, latest: datetime | None) -> datetime:
    moment = clock.now() + timedelta(seconds=seconds)
    return moment if latest is None else min(moment, latest)
