"""The states of runs, nodes and workflows, and which may follow which: the database refuses other transitions."""

from collections.abc import Mapping
from enum import StrEnum


class ExecutionStatus(StrEnum):
    """The status of a run; the mobile app reads `running`, `success` and `failed`."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NodeStatus(StrEnum):
    """The status of a node, in an iteration."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class WorkflowStatus(StrEnum):
    """The status of a workflow; one that cannot run is a draft, whatever its owner has set."""

    DRAFT = "draft"
    ACTIVE = "active"


class CrashState(StrEnum):
    """The state of a run after crashes of its workers; a node that succeeds makes it `clear` again.

    `suspected`: a worker died while it drove the run. `isolated`: a second one died before a node succeeded, so it is
    driven in an isolated process. `killed_once`: that process was killed from outside, which is tolerated once.
    """

    CLEAR = "clear"
    SUSPECTED = "suspected"
    ISOLATED = "isolated"
    KILLED_ONCE = "killed_once"


_S = ExecutionStatus
TERMINAL = frozenset({_S.SUCCESS, _S.FAILED, _S.CANCELLED})

TRANSITIONS: Mapping[ExecutionStatus, frozenset[ExecutionStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLING, _S.FAILED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.QUEUED, _S.WAITING, _S.CANCELLING}) | TERMINAL,
    _S.WAITING: frozenset({_S.RUNNING, _S.CANCELLING, _S.FAILED, _S.CANCELLED}),
    # Its driver may park it before it sees the request; the same transaction makes it `cancelling` again.
    _S.CANCELLING: frozenset({_S.RUNNING, _S.WAITING}) | TERMINAL,
    _S.SUCCESS: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}

_N = NodeStatus
UNSETTLED = frozenset({_N.PENDING, _N.RUNNING, _N.WAITING})
_ENDED = frozenset({_N.SUCCESS, _N.FAILED, _N.CANCELLED})

# A node that has ended never changes again; a skipped one is written as such and was in no state before.
NODE_TRANSITIONS: Mapping[NodeStatus, frozenset[NodeStatus]] = {
    **{status: (UNSETTLED | _ENDED) - {status} for status in UNSETTLED},
    **{status: frozenset[NodeStatus]() for status in _ENDED | {_N.SKIPPED}},
}
