"""The states of runs and nodes, and the table along which runs move."""

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """`running`, `success` and `failed` are words that the mobile app reads."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NodeStatus(StrEnum):
    """Where one node (in one iteration) stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class WorkflowStatus(StrEnum):
    """A draft may have errors; an active workflow has none."""

    DRAFT = "draft"
    ACTIVE = "active"


_S = ExecutionStatus
TERMINAL = frozenset({_S.SUCCESS, _S.FAILED, _S.CANCELLED})
NEXT: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLING, _S.CANCELLED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.SUCCESS, _S.FAILED, _S.CANCELLED, _S.WAITING, _S.CANCELLING, _S.QUEUED}),
    _S.WAITING: frozenset({_S.RUNNING, _S.CANCELLED, _S.FAILED, _S.QUEUED}),
    _S.CANCELLING: frozenset({_S.CANCELLED, _S.SUCCESS, _S.FAILED}),
    _S.SUCCESS: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}
