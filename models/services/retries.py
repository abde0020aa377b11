"""Starts an ended run anew: finished results are taken over, and only what is missing or was edited runs."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy.orm import Session

from models.errors import Conflict, FieldError
from models.execution import Execution
from models.rules.deadlines import DEFAULT_LIMITS, RunLimits
from models.rules.states import TERMINAL, ExecutionStatus
from models.services import executions, legacies, runnable
from models.services.legacies import Legacy
from models.user import User

RETRIED = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})


class NotRetryable(Conflict):
    """Only a run that failed or was cancelled is retried, and with another version any that is over."""

    code = "not_retryable"

    def __init__(self, status: ExecutionStatus) -> None:
        super().__init__(
            f"This run is {status}. A run is retried when it failed or was cancelled;"
            " one that succeeded is run again with another `version`."
        )


class ConfirmationRequired(Conflict):
    """Nodes would act on the outside world a second time."""

    code = "confirmation_required"


@dataclass(frozen=True)
class Retried:
    """The new run, and what it need not do again: number of results and the credits they had cost."""

    execution: Execution
    nodes: int
    credits: Decimal


def retry(
    session: Session,
    owner: User,
    execution_id: UUID,
    *,
    max_credits: Decimal | None = None,
    repeat: Collection[str] = (),
    version: runnable.VersionWish | None = None,
    limits: RunLimits = DEFAULT_LIMITS,
) -> Retried:
    """Queue a new run with the same input.

    Args:
        max_credits: the most the new run may cost, in credits; None: the worst case.
        repeat: ids of nodes marked `sideEffects: once`, here or in runs that this one started, that may act again
            although an earlier attempt began.
        version: which version of the workflow runs, by number or the `latest`; None: that of the old run. What was
            edited between the two, and all that is computed from it, runs again.
        limits: what the deployment grants; the new run has as much time as the old one had.

    Raises:
        NotFound, NotRetryable, InsufficientCredits, ConfirmationRequired naming the nodes that must be in `repeat`,
        InvalidInput for a version that there is not or that cannot run, and Forbidden where the owner's tier no longer
        lets the workflow run.
    """
    old = executions.get_locked(session, owner, execution_id)
    if old.status not in (RETRIED if version is None else TERMINAL):
        raise NotRetryable(old.status)
    pinned = runnable.again(session, owner, old.workflow_id, version or old.version_id)
    legacy = legacies.of(session, old.id, was=old.version_id, version=pinned.id)
    _confirm(session, legacy, repeat)
    new = executions.submit_again(session, owner, old, pinned, max_credits=max_credits, limits=limits)
    legacies.hand_down(session, legacy, new.id)
    return Retried(new, len(legacy.kept), legacy.credits)


def _confirm(session: Session, legacy: Legacy, repeat: Collection[str]) -> None:
    asked: set[str] = set()
    for left in (legacy, *legacies.below(session, legacy)):
        asked |= {node_id for node_id in left.acted if left.graph.nodes[node_id].side_effects == "once"}
    if asked := asked.difference(repeat):
        errors = [FieldError("repeat", f"The node {node_id} may have acted already.") for node_id in sorted(asked)]
        sentence = "Some nodes must not act twice unless you say so: name them in `repeat`."
        raise ConfirmationRequired(sentence, errors=errors)
