"""Task messages: each names a task and the ids of its rows, and is published after the commit, or never.

Nothing is published for work that was rolled back, savepoints included; publishing is bounded in time and never fails
the transaction that enqueued the message, because the sweep publishes lost messages again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import structlog
from kombu import Queue
from sqlalchemy.orm import Session

from models.after_commit import AfterCommit
from models.services.orchestration.redelivery import TaskTarget
from models.tables import Execution
from roles import ProcessRole
from telemetry import correlation, tracing

log = structlog.get_logger(__name__)


class TaskName(StrEnum):
    """Every task there is, as `area.verb`."""

    DRIVE_EXECUTION = "executions.drive"
    TEST_KEY = "keys.test"
    LIST_AGENTS = "agents.list"
    SWEEP = "maintenance.sweep"
    PRUNE = "maintenance.prune"
    START_SCHEDULED = "schedules.start"
    QUEUE_PROBE = "maintenance.queue_probe"
    ECHO = "maintenance.echo"
    STRIPE_REQUEST = "billing.request"
    HANDLE_STRIPE_EVENT = "billing.event"
    BILLING_SWEEP = "billing.sweep"
    BUILD_EXPORT = "accounts.export"
    SEND_RESET_MAIL = "accounts.send_reset_mail"
    SEND_NOTIFICATION = "notifications.send"
    NOTIFICATION_SWEEP = "notifications.sweep"
    PUSH_RECEIPTS = "notifications.receipts"
    RECONCILE_EVENTS = "billing.reconcile_events"
    RECONCILE_PURCHASES = "billing.reconcile_purchases"
    RECONCILE_OBJECTS = "billing.reconcile_objects"


class QueueName(StrEnum):
    """Every queue there is; priorities are separate queues, because a prefetched message has no priority."""

    EXECUTIONS_HIGH = "executions.high"
    EXECUTIONS_NORMAL = "executions.normal"
    EXECUTIONS_LOW = "executions.low"
    MAINTENANCE = "maintenance"
    BILLING = "billing"
    NOTIFICATIONS = "notifications"


ROUTES: dict[TaskName, QueueName] = {
    TaskName.DRIVE_EXECUTION: QueueName.EXECUTIONS_NORMAL,
    TaskName.TEST_KEY: QueueName.EXECUTIONS_NORMAL,  # consumed by workers that may connect to providers
    TaskName.LIST_AGENTS: QueueName.EXECUTIONS_NORMAL,
    TaskName.SWEEP: QueueName.MAINTENANCE,
    TaskName.PRUNE: QueueName.MAINTENANCE,
    TaskName.START_SCHEDULED: QueueName.MAINTENANCE,
    TaskName.QUEUE_PROBE: QueueName.MAINTENANCE,  # and through every other queue
    TaskName.ECHO: QueueName.MAINTENANCE,  # but sent to the queue of one worker
    TaskName.STRIPE_REQUEST: QueueName.BILLING,
    TaskName.HANDLE_STRIPE_EVENT: QueueName.BILLING,
    TaskName.BILLING_SWEEP: QueueName.BILLING,
    TaskName.BUILD_EXPORT: QueueName.MAINTENANCE,
    TaskName.SEND_RESET_MAIL: QueueName.NOTIFICATIONS,
    TaskName.SEND_NOTIFICATION: QueueName.NOTIFICATIONS,
    TaskName.NOTIFICATION_SWEEP: QueueName.MAINTENANCE,
    TaskName.PUSH_RECEIPTS: QueueName.NOTIFICATIONS,  # consumed by workers that may connect to Expo
    TaskName.RECONCILE_EVENTS: QueueName.MAINTENANCE,
    TaskName.RECONCILE_PURCHASES: QueueName.MAINTENANCE,
    TaskName.RECONCILE_OBJECTS: QueueName.MAINTENANCE,
}


_EXECUTIONS = frozenset({QueueName.EXECUTIONS_HIGH, QueueName.EXECUTIONS_NORMAL, QueueName.EXECUTIONS_LOW})
CONSUMED: dict[ProcessRole, frozenset[QueueName]] = {  # by role, which has the settings for the tasks of these only
    ProcessRole.WORKER_EXECUTIONS: _EXECUTIONS,
    ProcessRole.WORKER_BILLING: frozenset(QueueName) - _EXECUTIONS,
}


# Their rows have the id of the request that caused them.
_WITH_REQUEST_ID = {TaskName.DRIVE_EXECUTION, TaskName.STRIPE_REQUEST, TaskName.HANDLE_STRIPE_EVENT}
REQUEST_HEADER = "http_request_id"  # of a message, beside the headers of Celery


@dataclass(frozen=True)
class TaskMessage:
    """A message for a task: its name, the ids it gets, and its queue: a named one, or that of a single worker.

    `shown` are further ids, which the task does not get: operators see them beside the others, in Flower.
    """

    task: TaskName
    queue: QueueName | Queue
    ids: dict[str, str | int] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """The span that sends it, and the id of the request that caused it unless a row has that, for sweeps too."""
        caused = None if self.task in _WITH_REQUEST_ID else correlation.request_id()
        found = {REQUEST_HEADER: caused, tracing.HEADER: tracing.traceparent()}
        return {name: value for name, value in found.items() if value}

    @staticmethod
    def logged(ids: Mapping[str, str | int]) -> dict[str, str | int]:
        """The ids as fields of log events, where `request_id` is that of a request to the API."""
        return {"stripe_request_id" if name == "request_id" else name: id for name, id in ids.items()}


Publisher = Callable[[TaskMessage], bool]


def enqueue(session: Session, task: TaskName, **ids: str | int | UUID) -> None:
    """Publish `task` once `session` has committed; drop it if the transaction or its savepoint rolls back.

    Args:
        session: the session whose transaction writes the rows that the message points at.
        task: the task that gets the message; runs are enqueued with `enqueue_run`.
        ids: keyword arguments of the task: ids only, because operators can read messages.
    """
    serializable = {name: str(value) if isinstance(value, UUID) else value for name, value in ids.items()}
    _outgoing.add(session, TaskMessage(task, ROUTES[task], serializable))


def enqueue_run(session: Session, run: TaskTarget) -> None:
    """Publish the message that makes a worker drive the run, as `enqueue` does."""
    _outgoing.add(session, run_message(run))


def enqueue_new_run(session: Session, execution: Execution) -> None:
    """Enqueue a new run, unless it is deferred behind its owner's other runs."""
    if execution.deferred_at is None:
        enqueue_run(session, target_of(execution))


def publish_new_run(execution: Execution) -> None:
    """Publish the message of a new run that is committed already, as `enqueue_new_run` does after the commit."""
    if execution.deferred_at is None:
        publish(run_message(target_of(execution)))


def target_of(execution: Execution) -> TaskTarget:
    """The run, to enqueue it."""
    return TaskTarget(execution.id, execution.priority, execution.workflow_id)


def run_message(run: TaskTarget) -> TaskMessage:
    """The message that makes a worker drive the run; it shows the workflow, by which operators find runs, too."""
    queue, shown = QueueName(f"executions.{run.priority}"), {"workflow_id": str(run.workflow_id)}
    return TaskMessage(TaskName.DRIVE_EXECUTION, queue, {"execution_id": str(run.execution_id)}, shown)


def enqueue_mails(session: Session, notification_ids: Iterable[UUID]) -> None:
    """Enqueue the sending of these notifications, mail or push."""
    for notification_id in notification_ids:
        enqueue(session, TaskName.SEND_NOTIFICATION, notification_id=notification_id)


def publish(message: TaskMessage) -> bool:
    """Publish a message now and return whether the broker accepted it; logs instead of raising."""
    return bool(_publisher(message))


def set_publisher(publisher: Publisher) -> Publisher:
    """Set the publisher of this process and return the previous one; tests set a list's `append`."""
    global _publisher
    before, _publisher = _publisher, publisher
    return before


def _null_publisher(message: TaskMessage) -> bool:
    log.warning(
        "task.publish_failed", task=message.task, reason="no broker is connected", **message.logged(message.ids)
    )
    return False


def _publish_all(messages: Iterable[TaskMessage]) -> None:
    for message in messages:
        publish(message)


_publisher: Publisher = _null_publisher
_outgoing = AfterCommit[TaskMessage](_publish_all)
