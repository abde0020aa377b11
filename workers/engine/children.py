"""The runs that one run starts: begun once for every attempt, waited for as rows, begun again where that is allowed.

Owned by the driver's thread, which starts them itself: it alone knows what the run can spare.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.errors import ForgeError, LeaseLost
from models.rules.effects import RunWorkflow
from models.rules.graph import Retry
from models.rules.pricing import Priority
from models.rules.retries import delay
from models.rules.schedule import Step
from models.rules.states import ExecutionStatus, NodeStatus
from models.rules.subworkflows import MAX_DEPTH
from models.services import children
from models.services.children import Started, TooDeep, Wanted
from models.services.journal import NodeRow, Progress
from models.services.leases import Lease, PastStep
from models.services.wards import QUARANTINED
from workers.engine import clock
from workers.engine.budget import Budget, Busy
from workers.engine.recorder import Recorder
from workers.engine.waits import Wait

Json = Any
Ring = Callable[[UUID, Priority], None]
DATABASE_PAUSE = 1.0  # seconds until the next try while the database is away
log = structlog.get_logger()


class ChildFailed(ForgeError):
    """The run that a step started came to a bad end, with the code and the sentence of that."""

    def __init__(self, code: str, detail: str, *, retryable: bool = True) -> None:
        super().__init__(detail)
        self.code = code
        self.retryable = retryable

    @classmethod
    def of(cls, answer: dict[str, Json]) -> "ChildFailed":
        """What became of it, as its parent's row says."""
        if answer["status"] == ExecutionStatus.CANCELLED:
            return cls("subworkflow_cancelled", "The workflow that it ran was cancelled.", retryable=False)
        error = answer.get("error") or {}
        code, detail = error.get("code", "subworkflow_failed"), error.get("message", "The workflow that it ran failed.")
        return cls(code, detail, retryable=code != QUARANTINED)


@dataclass(kw_only=True)
class Child(Wait):
    """A step whose run is under way, or is to be started: at once, or when its back-off is over."""

    effect: RunWorkflow
    retry: Retry
    attempt: int = 1
    reference: dict[str, Json] = field(default_factory=dict)
    unsure: Decimal = Decimal(0)  # credits that it may have taken along: its start was cut off

    @property
    def id(self) -> UUID | None:
        """The run, once it was started."""
        known = self.reference.get("childExecutionId")
        return UUID(known) if known else None

    def row(self, status: NodeStatus) -> NodeRow:
        """This step as it is recorded."""
        kept = {name: value for name, value in self.reference.items() if name != "answer"}
        return NodeRow(self.step, status, self.attempt, self.started_at, external_ref=kept or None)


class Home(Protocol):
    """What the children need of the run that they belong to."""

    def under_way(self) -> list[Step]:
        """The steps that may still have to be paid."""

    def wait_for(self, wait: Wait) -> None:
        """Go on when this wait is over."""

    def block(self, child: Child) -> None:
        """The credits do not reach for it now."""

    def unblock(self) -> None:
        """There may be more credits than before."""

    def succeed(self, child: Child, output: Json) -> None:
        """Its run came to a good end."""

    def fail(self, child: Child, error: ForgeError) -> None:
        """There is no run, or it came to a bad end for good."""

    def cancelled(self) -> None:
        """Somebody asked for the end of the run itself."""

    def lost(self, progress: Progress | None, error: Exception) -> None:
        """A write of the run was refused."""


class Children:
    """Those that are being started; a child that runs is a wait like any other."""

    def __init__(
        self, lease: Lease, recorder: Recorder, budget: Budget, home: Home, *, post: Callable[..., None], ring: Ring
    ) -> None:
        self._lease = lease
        self._recorder = recorder
        self._budget = budget
        self._home = home
        self._post = post
        self._ring = ring
        self._starting: dict[Step, Child] = {}

    def __len__(self) -> int:
        return len(self._starting)

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._starting.values()))

    def begin(self, child: Child, past: PastStep | None) -> None:
        """Start a child, or go on waiting for the one that an earlier driver started."""
        if past and past.status in (NodeStatus.WAITING, NodeStatus.RUNNING):
            child.attempt, child.started_at = past.attempt, past.started_at or child.started_at
        if self._lease.depth >= MAX_DEPTH:  # no credits are set aside for what is refused anyway
            self._home.fail(child, TooDeep())
        elif past and past.status is NodeStatus.WAITING and past.external_ref:
            child.reference = past.external_ref
            self._home.wait_for(child)
        else:
            self.start(child)

    def start(self, child: Child) -> None:
        """Start a child once all that led to it is stored."""
        self._starting[child.step] = child
        child.reference = {}
        self._recorder.node(child.row(NodeStatus.RUNNING))
        self._recorder.event("node.started", f"{child.call.node.label} started.", step=child.step)
        self._recorder.flush(lambda progress, error: self._post(partial(self._stored, child, progress, error)))

    def go_on(self, child: Child) -> None:
        """Its run is over, or took too long, or the next attempt is due."""
        if child.id is None:
            self.start(child)
            return
        answer = child.reference.get("answer")
        if answer is None:
            self._recorder.abandon(child.id)
            failure = ChildFailed("timeout", f"The workflow took more than {child.call.node.timeout:g} seconds.")
        else:
            told = {"childExecutionId": str(child.id), "status": answer["status"]}
            message = f"{child.call.node.label}: the workflow ended ({answer['status']})."
            self._recorder.event("child.ended", message, step=child.step, data=told)
            if answer["status"] == ExecutionStatus.SUCCESS:
                self._home.succeed(child, answer["output"])
                return
            failure = ChildFailed.of(answer)
        if failure.retryable and child.attempt < child.retry.max_attempts:
            self._try_later(child, failure)
        else:
            self._home.fail(child, failure)

    def give_up(self, child: Child) -> None:
        """Nobody waits for it any more: its run is stopped when that is recorded."""
        self._starting.pop(child.step, None)
        if child.id:
            self._recorder.abandon(child.id)
        self._recorder.node(replace(child.row(NodeStatus.CANCELLED), finished_at=clock.now()))

    def _try_later(self, child: Child, failure: ChildFailed) -> None:
        pause = delay(child.retry, child.attempt, chance=random.random())
        message = f"{child.call.node.label} failed: {failure.detail} Next attempt in {pause:.1f} s."
        told = {"code": failure.code, "attempt": child.attempt, "delay": round(pause, 3)}
        self._recorder.event("node.retrying", message, step=child.step, level="warning", data=told)
        child.attempt += 1
        child.reference = _pause(pause, f"Runs it again later: {failure.detail}")
        self._recorder.node(child.row(NodeStatus.WAITING))
        self._home.wait_for(child)

    def _stored(self, child: Child, progress: Progress, error: Exception | None) -> None:
        if self._starting.get(child.step) is not child:
            return  # given up meanwhile
        if error:
            self._home.lost(progress, error)
            return
        self._budget.unsure -= child.unsure
        most = max(self._budget.spare(child.step, self._others(child)), child.unsure)
        child.unsure = Decimal(0)
        del self._starting[child.step]
        if most < self._budget.least_run:
            self._home.block(child)
            return
        try:
            with session_scope() as session:
                started = children.start(session, self._lease, self._wanted(child, most))
        except (OperationalError, PoolTimeout) as failure:
            log.warning("child.not_started", execution_id=str(self._lease.execution_id), error=type(failure).__name__)
            child.unsure = most  # perhaps it has started, and only the answer was lost
            self._budget.unsure += most
            child.reference = _pause(DATABASE_PAUSE, "The database is away.")
            self._home.wait_for(child)
        except LeaseLost as failure:
            self._home.lost(None, failure)
        except ForgeError as failure:
            self._home.fail(child, failure)
        else:
            self._started(child, started)

    def _started(self, child: Child, started: Started | None) -> None:
        if started is None:
            self.give_up(child)
            self._home.cancelled()
            return
        child.reference, self._budget.cap = started.reference, started.cap
        told = {name: started.reference[name] for name in ("childExecutionId", "workflowId")}
        message = f"{child.call.node.label}: {started.reference['message']}"
        self._recorder.event("child.started", message, step=child.step, data=told)
        self._ring(started.id, started.priority)
        self._home.wait_for(child)
        self._home.unblock()

    def _wanted(self, child: Child, most: Any) -> Wanted:
        timeout = child.call.node.timeout
        until = clock.now() + timedelta(seconds=timeout) if timeout else None
        return Wanted(child.step, child.attempt, child.effect, most, child.started_at, until)

    def _others(self, child: Child) -> Busy:
        return lambda: [step for step in self._home.under_way() if step != child.step]


def _pause(seconds: float, message: str) -> dict[str, Json]:
    return {
        "type": "subworkflow",
        "message": message,
        "until": (clock.now() + timedelta(seconds=seconds)).isoformat(),
    }
