"""A step that runs another workflow, and the error of a child run that failed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from models.errors import ForgeError
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.graph.effects import RunWorkflow
from models.rules.graph.graph import Retry
from models.rules.prices.charging import FREE
from models.serialization import Json
from models.services.orchestration.isolated_runs import QUARANTINED
from models.services.orchestration.journal import NodeRow
from workers.engine.driver.paused_steps import PausedStep
from workers.engine.values import clock
from workers.engine.values.wait_reasons import ChildRun, ChildStarting, WaitReason


class ChildFailed(ForgeError):
    """The child run of a step failed, with the code and the sentence of its error."""

    def __init__(self, code: str, detail: str, *, retryable: bool = True, cause: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.retryable = retryable
        self.cause = cause  # the code of the first failure in it

    @classmethod
    def of(cls, result: Mapping[str, Json]) -> "ChildFailed":
        """Build the error from the result in the parent's row."""
        if result["status"] == ExecutionStatus.CANCELLED:
            return cls("subworkflow_cancelled", "The workflow that it ran was cancelled.", retryable=False)
        error = result.get("error") or {}
        code, detail = error.get("code", "subworkflow_failed"), error.get("message", "The workflow that it ran failed.")
        return cls(code, detail, retryable=code != QUARANTINED, cause=error.get("cause"))


@dataclass(kw_only=True)
class ChildStep(PausedStep):
    """A step whose child run is in progress or about to be started, now or after its back-off."""

    effect: RunWorkflow
    retry: Retry
    price: Decimal  # credits of the step itself
    number: int = 1  # of the attempt
    reason: WaitReason = field(default_factory=ChildStarting)
    uncertain_reserve: Decimal = Decimal(0)  # credits that it may have received: its start was interrupted

    @property
    def run_id(self) -> UUID | None:
        """The id of the child run, None before it was started."""
        return self.reason.run_id if isinstance(self.reason, ChildRun) else None

    @property
    def result(self) -> Mapping[str, Json] | None:
        """The result of the child run, None while it goes on."""
        return self.reason.result if isinstance(self.reason, ChildRun) else None

    @property
    def ends_at(self) -> datetime | None:
        """When the step must have ended, with all its child runs; None without a deadline."""
        deadline = self.call.node.deadline
        return None if deadline is None else self.started_at + timedelta(seconds=deadline)

    @property
    def is_late(self) -> bool:
        """Whether its deadline passed without a result."""
        return self.result is None and self.ends_at is not None and self.ends_at <= clock.now()

    @property
    def due(self) -> Decimal:
        """Credits that the step costs if it is given up now; a started child run counts as sent."""
        return self.price if self.run_id else FREE

    def row(self, status: NodeStatus) -> NodeRow:
        """The row that records this step."""
        due = self.due if status is NodeStatus.WAITING else FREE
        reference = self.reason.to_ref() or None
        return NodeRow(self.step, status, self.number, self.started_at, external_ref=reference, due=due)
