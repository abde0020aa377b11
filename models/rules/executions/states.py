"""The states of runs, nodes and workflows."""

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
