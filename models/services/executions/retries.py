"""Retries ended runs: finished results are reused, and only missing or edited nodes run."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy.orm import Session

from models.errors import Conflict, FieldError
from models.rules.executions.deadlines import DEFAULT_TIME_LIMITS, RunTimeLimits
from models.rules.executions.states import TERMINAL, ExecutionStatus
from models.services.credits import api_calls, storage
from models.services.executions import executions
from models.services.orchestration import result_reuse, submission
from models.services.orchestration.result_reuse import ReusableResults
from models.services.orchestration.submission import RunRequest
from models.services.workflows import estimates, runnable
from models.services.workflows.runnable import Runnable
from models.tables import Execution, User

RETRIED = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})


class NotRetryable(Conflict):
    """The run cannot be retried: it must have failed or been cancelled or, with another version, have ended."""

    code = "not_retryable"

    def __init__(self, status: ExecutionStatus) -> None:
        super().__init__(
            f"This run is {status}. A run is retried when it failed or was cancelled;"
            " one that succeeded is run again with another `version`."
        )


class TrialNotRetryable(NotRetryable):
    """A trial was to be retried with another version, in which its pinned data would count as results."""

    def __init__(self) -> None:
        Conflict.__init__(
            self,
            "This run tried one node with pinned data. It can be retried as it was, but not with another version:"
            " try the node again, or run the workflow.",
        )


class ConfirmationRequired(Conflict):
    """Nodes with `sideEffects: once` would be executed again; name them in `repeat` to allow it."""

    code = "confirmation_required"


@dataclass(frozen=True)
class Retried:
    """The new run, the number of results that it reuses, and the credits that they had cost."""

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
    version: runnable.RequestedVersion | None = None,
    limits: RunTimeLimits = DEFAULT_TIME_LIMITS,
) -> Retried:
    """Submit a new run with the input of an ended run, which reuses its finished results.

    Args:
        session: the session of the transaction.
        owner: the user who owns the run.
        execution_id: the ended run.
        max_credits: the most that the new run may cost, in credits; None: the worst case.
        repeat: ids of nodes with `sideEffects: once`, in this run or its child runs, that may be executed again
            although an earlier attempt began.
        version: the version of the workflow to run, by number or `latest`; None: that of the old run. Nodes that were
            edited in between, and all nodes that depend on them, run again.
        limits: the deployment's limits; the timeout of the new run is that of the old one.

    Raises:
        NotFound: `owner` has no such run.
        NotRetryable: the status of the run does not allow it.
        InvalidInput: the version does not exist or cannot run, or `max_credits` is too low.
        Forbidden: the owner's tier does not allow the run any more.
        InsufficientCredits: the owner does not have the credits.
        ConfirmationRequired: nodes must be named in `repeat`.
    """
    old = executions.get_locked(session, owner, execution_id)
    if old.status not in (RETRIED if version is None else TERMINAL):
        raise NotRetryable(old.status)
    if old.tried_node_id is not None and version is not None:
        raise TrialNotRetryable
    pinned = runnable.again(session, owner, old.workflow_id, version or old.version_id)
    reusable = result_reuse.reusable_results(session, old.id, was=old.version_id, version=pinned.id)
    _confirm(session, reusable, repeat)
    done = reusable.done
    new = _submit_again(session, owner, old, pinned, max_credits=max_credits, done=done, limits=limits)
    result_reuse.copy_results(session, reusable, new.id)
    return Retried(new, len(reusable.kept), reusable.credits)


def _confirm(session: Session, reusable: ReusableResults, repeat: Collection[str]) -> None:
    unconfirmed: set[str] = set()
    for results in (reusable, *result_reuse.reusable_results_below(session, reusable)):
        unconfirmed |= {node_id for node_id in results.acted if results.graph.nodes[node_id].side_effects == "once"}
    if unconfirmed := unconfirmed.difference(repeat):
        errors = [
            FieldError("repeat", f"The node {node_id} may have acted already.") for node_id in sorted(unconfirmed)
        ]
        sentence = "Some nodes must not act twice without your confirmation: name them in `repeat`."
        raise ConfirmationRequired(sentence, errors=errors)


def _submit_again(
    session: Session,
    owner: User,
    old: Execution,
    version: Runnable,
    *,
    max_credits: Decimal | None,
    done: Collection[str] = (),
    limits: RunTimeLimits = DEFAULT_TIME_LIMITS,
) -> Execution:
    """Submit a run of a version of the same workflow with the input of the ended run `old` and the same timeout.

    The results of the nodes in `done` are reused. Raises `InsufficientCredits` and `InvalidInput` as `submit` does, and
    `Forbidden` if the owner's storage or this month's API calls are used up.
    """
    storage.require_room(session, owner)
    api_calls.require_some(session, owner, version.id)
    request = RunRequest(
        old.workflow_id,
        executions.priority_of(owner, None),
        old.input,
        old.tags,
        retry_of=old.id,
        tried_node_id=old.tried_node_id,
    )
    return submission.insert_execution(
        session,
        owner,
        request,
        version_id=version.id,
        workflow_name=old.workflow_name,
        credits_cap=estimates.cap(
            session, version.id, version.worst_case_credits or old.credits_cap, max_credits, done=done
        ),
        nodes_total=1 if old.tried_node_id else version.node_count,
        timeout_seconds=(old.deadline_at - old.created_at).total_seconds() if old.deadline_at else None,
        queue_seconds=limits.queue_for(version.max_queue_seconds),
    )
