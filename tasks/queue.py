"""Doorbells: a message says "look at this row". It leaves after the commit, or never.

Guarantees that nothing is published for work that was rolled back, savepoints included, that a publish is bounded in
time, and that it never fails the transaction that asked for it: a bell that was not rung is rung again by the sweep.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import structlog
from celery import Celery
from kombu import Connection, Queue
from kombu.pools import ProducerPool
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from tasks.wire import SCHEMES, RedisLine

log = structlog.get_logger(__name__)

# Publishing is bounded more tightly than consuming, because a request waits for it.
PUBLISH_OPTIONS = {"socket_timeout": 1, "socket_connect_timeout": 1, "socket_keepalive": True}
PUBLISH_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
QUIET_SECONDS = 3.0  # after a failed publish, nobody else waits for the broker that long


class TaskName(StrEnum):
    """Every task there is, as `area.verb`."""

    DRIVE_EXECUTION = "executions.drive"
    TEST_KEY = "keys.test"
    SWEEP = "maintenance.sweep"
    PRUNE = "maintenance.prune"
    CANARY = "maintenance.canary"
    ECHO = "maintenance.echo"
    STRIPE_REQUEST = "billing.request"
    HANDLE_STRIPE_EVENT = "billing.event"
    BILLING_SWEEP = "billing.sweep"
    ANSWER_RESET = "accounts.answer_reset"
    SEND_NOTIFICATION = "notifications.send"
    NOTIFICATION_SWEEP = "notifications.sweep"
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
    TaskName.TEST_KEY: QueueName.EXECUTIONS_NORMAL,  # to those who speak with providers anyway
    TaskName.SWEEP: QueueName.MAINTENANCE,
    TaskName.PRUNE: QueueName.MAINTENANCE,
    TaskName.CANARY: QueueName.MAINTENANCE,  # and through every other queue
    TaskName.ECHO: QueueName.MAINTENANCE,  # but sent to the queue of one worker
    TaskName.STRIPE_REQUEST: QueueName.BILLING,
    TaskName.HANDLE_STRIPE_EVENT: QueueName.BILLING,
    TaskName.BILLING_SWEEP: QueueName.BILLING,
    TaskName.ANSWER_RESET: QueueName.NOTIFICATIONS,
    TaskName.SEND_NOTIFICATION: QueueName.NOTIFICATIONS,
    TaskName.NOTIFICATION_SWEEP: QueueName.MAINTENANCE,
    TaskName.RECONCILE_EVENTS: QueueName.MAINTENANCE,
    TaskName.RECONCILE_PURCHASES: QueueName.MAINTENANCE,
    TaskName.RECONCILE_OBJECTS: QueueName.MAINTENANCE,
}


@dataclass(frozen=True)
class Doorbell:
    """One message: which task shall look at which ids, and the queue it waits in: a named one, or one worker's own."""

    task: TaskName
    queue: QueueName | Queue
    ids: dict[str, str | int] = field(default_factory=dict)


@dataclass
class _Outgoing:
    """A doorbell and the savepoint on whose release it depends (None: the transaction itself)."""

    doorbell: Doorbell
    savepoint: SessionTransaction | None


Publisher = Callable[[Doorbell], None]


def enqueue(session: Session, task: TaskName, *, priority: str | None = None, **ids: str | int | UUID) -> None:
    """Publish `task` once `session` has committed; forget it if the transaction or its savepoint rolls back.

    Args:
        session: the session whose transaction writes the rows that the message points at.
        task: what shall look at them.
        priority: `high`, `normal` or `low`, for executions only; chooses the queue.
        ids: keyword arguments of the task: ids only, because messages are readable by operators.
    """
    queue = QueueName(f"executions.{priority}") if priority else ROUTES[task]
    plain = {name: str(value) if isinstance(value, UUID) else value for name, value in ids.items()}
    if not session.in_transaction():
        session.begin()  # so that there is something to roll back, even if the doorbell comes first
    outgoing = session.info.setdefault("outgoing", [])
    outgoing.append(_Outgoing(Doorbell(task, queue, plain), session.get_nested_transaction()))


@event.listens_for(Session, "after_commit")
def _promote(session: Session) -> None:
    """SQLAlchemy calls this for released savepoints too: then the bells only move to the enclosing transaction."""
    outgoing: list[_Outgoing] = session.info.get("outgoing", [])
    if not outgoing:
        return
    current = session.get_nested_transaction()
    if current is None:
        session.info["committed"] = [bell.doorbell for bell in outgoing]
        outgoing.clear()
        return
    parent = current.parent
    while parent is not None and not parent.nested:
        parent = parent.parent
    for bell in outgoing:
        if bell.savepoint is current:
            bell.savepoint = parent


@event.listens_for(Session, "after_transaction_end")
def _ring_or_forget(session: Session, transaction: SessionTransaction) -> None:
    """What its commit did not promote is forgotten; what was committed leaves once the connection is free again."""
    outgoing: list[_Outgoing] = session.info.get("outgoing", [])
    if transaction.parent is None:
        outgoing.clear()
        for doorbell in session.info.pop("committed", ()):
            publish(doorbell)
    elif outgoing and transaction.nested:
        outgoing[:] = [bell for bell in outgoing if bell.savepoint is not transaction]


def publish(doorbell: Doorbell) -> None:
    """Hand a doorbell to the broker now; logs instead of raising."""
    _publisher(doorbell)


def publish_through(publisher: Publisher) -> Publisher:
    """Choose who publishes in this process, and return who did before; tests put a list's `append` here."""
    global _publisher
    before, _publisher = _publisher, publisher
    return before


def _nobody(doorbell: Doorbell) -> None:
    log.warning("doorbell_not_rung", task=doorbell.task, reason="no broker is connected", **doorbell.ids)


_publisher: Publisher = _nobody


class Broker:
    """Publishes as Celery does, with tight time-outs, and leaves an unreachable broker alone for a moment."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._is_redis = app.conf.broker_url.startswith(SCHEMES)  # asked for once: Celery looks for it at length
        self._lock = threading.Lock()
        self._line: RedisLine | None = None
        self._pool: ProducerPool | None = None
        self._away = False
        self._quiet_until = 0.0

    def __call__(self, doorbell: Doorbell) -> None:
        """Publish, or log why not."""
        self.ring(doorbell)

    def ring(self, doorbell: Doorbell) -> bool:
        """Publish; a few seconds at most against a frozen broker, and no wait at all soon after a failure.

        Answers whether the broker took it.
        """
        if time.monotonic() < self._quiet_until:
            log.warning("doorbell_not_rung", task=doorbell.task, reason="the broker is away", **doorbell.ids)
            return False
        if self._away:
            self._quiet(away=True)  # this one tries whether it is back; the others do not wait for it
        try:
            self._send(doorbell)
        except Exception as error:  # the row is committed: the request must succeed, and the sweep rings again
            self._quiet(away=True)
            log.warning("doorbell_not_rung", task=doorbell.task, reason=type(error).__name__, **doorbell.ids)
            return False
        self._quiet(away=False)
        return True

    def _send(self, doorbell: Doorbell) -> None:
        if isinstance(doorbell.queue, QueueName) and self._is_redis:
            self._redis().send(doorbell.task, doorbell.queue, doorbell.ids)
            return
        with self._producers().acquire(block=True, timeout=1) as producer:
            self._app.send_task(
                doorbell.task,
                kwargs=doorbell.ids,
                queue=doorbell.queue,
                producer=producer,
                retry=True,
                retry_policy=PUBLISH_RETRY,
                ignore_result=True,
            )

    def _quiet(self, *, away: bool) -> None:
        self._away = away
        self._quiet_until = time.monotonic() + QUIET_SECONDS if away else 0.0

    def _redis(self) -> RedisLine:
        with self._lock:
            if self._line is None:
                self._line = RedisLine(self._app.conf.broker_url)
            return self._line

    def _producers(self) -> ProducerPool:
        """Opened on first use, because sockets must not be shared with a forked process."""
        with self._lock:
            if self._pool is None:
                connection = Connection(self._app.conf.broker_url, transport_options=PUBLISH_OPTIONS, connect_timeout=1)
                self._pool = ProducerPool(connection.Pool(limit=10), limit=10)
            return self._pool
