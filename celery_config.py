"""The Celery application: queues, routes, schedule and the broker's time-outs.

Task messages (see `tasks/queue.py`) carry no data: they are acknowledged early, carry ids only, have no results, and
may be lost or doubled without harm. Task modules are named as strings, so that importing this module imports no task.
"""

import threading
from importlib import import_module
from typing import Any

from celery import Celery
from celery.bootsteps import StartStopStep
from celery.signals import beat_init, setup_logging, task_received
from kombu import Queue

import logs
import threads
from settings import process_settings
from tasks import publisher
from tasks.observability import log_context, metrics_files  # noqa: F401  # connects to Celery's signals
from tasks.queue import ROUTES, QueueName, TaskMessage, TaskName
from tasks.redis_client import celery_broker, is_redis

SWEEP_SECONDS = 5.0
PRUNE_SECONDS = 60.0
QUEUE_PROBE_SECONDS = 60.0
BILLING_SWEEP_SECONDS = 10.0
RECONCILE_SECONDS = 300.0
RECEIPTS_SECONDS = 60.0
AGENTS_SECONDS = 120.0
EVENTS_SECONDS = 0.25

settings = process_settings()
if settings.worker_metrics_port:  # before anything counts
    metrics_files.share()
    import_module("tasks.observability.worker_metrics")  # connects to Celery's signals
if settings.trace_endpoint:
    import_module("tasks.observability.task_spans")
_broker = celery_broker(settings.broker_url)
_REDIS_OPTIONS = {
    # Without these a worker with a half-open connection receives nothing for minutes.
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "queue_order_strategy": "tasks.queue_order:WeightedRoundRobin",
    # Redis keeps no message until it is acknowledged, which it is as soon as its task begins: this would be two
    # transactions for each message, and the sweep finds the work of a lost one sooner than Redis would.
    "ack_emulation": False,
}
# Without these a worker that has reconnected waits without limit for the end of a half-open connection of its events.
_AMQP_OPTIONS = {"read_timeout": 5, "write_timeout": 5}

app = Celery(
    "agentforge",
    include=(
        "tasks.providers",
        "tasks.billing",
        "tasks.executions",
        "tasks.maintenance",
        "tasks.notifications",
        "tasks.consumer_probe",
        "tasks.reconciliation",
    ),
)
app.conf.update(
    broker_url=_broker.url,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker waits for its broker without limit
    broker_transport_options={
        **(_REDIS_OPTIONS if is_redis(settings.broker_url) else _AMQP_OPTIONS),
        **_broker.options,
    },
    broker_use_ssl=_broker.tls,
    broker_heartbeat=10,  # of AMQP
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    result_backend_thread_safe=True,  # there is none; or each thread would look for it in all installed packages
    task_store_errors_even_if_ignored=False,
    task_acks_late=False,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2},
    task_default_queue=QueueName.MAINTENANCE.value,
    task_create_missing_queues=False,
    task_queues=[Queue(name.value, routing_key=name.value) for name in QueueName],
    task_routes={task.value: {"queue": queue.value} for task, queue in ROUTES.items()},
    worker_prefetch_multiplier=1,
    # A job waits in the queue, in order and where any worker can take it, not in one worker's memory.
    worker_disable_prefetch=is_redis(settings.broker_url),
    worker_send_task_events=True,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    enable_utc=True,
    timezone="UTC",
    beat_scheduler="celery.beat:Scheduler",  # intervals only, so it needs no schedule file
    beat_max_loop_interval=SWEEP_SECONDS,
    beat_schedule={
        # A sweep that no worker took expires before the next one, so a backlog of them never builds.
        "sweep": {"task": TaskName.SWEEP.value, "schedule": SWEEP_SECONDS, "options": {"expires": SWEEP_SECONDS}},
        "prune": {"task": TaskName.PRUNE.value, "schedule": PRUNE_SECONDS, "options": {"expires": PRUNE_SECONDS}},
        "schedules": {
            "task": TaskName.START_SCHEDULED.value,
            "schedule": SWEEP_SECONDS,
            "options": {"expires": SWEEP_SECONDS},
        },
        "billing": {
            "task": TaskName.BILLING_SWEEP.value,
            "schedule": BILLING_SWEEP_SECONDS,
            "options": {"expires": BILLING_SWEEP_SECONDS},
        },
        "notifications": {
            "task": TaskName.NOTIFICATION_SWEEP.value,
            "schedule": SWEEP_SECONDS,
            "options": {"expires": SWEEP_SECONDS},
        },
        "agents": {
            "task": TaskName.LIST_AGENTS.value,
            "schedule": AGENTS_SECONDS,
            "options": {"expires": AGENTS_SECONDS},
        },
        "push receipts": {
            "task": TaskName.PUSH_RECEIPTS.value,
            "schedule": RECEIPTS_SECONDS,
            "options": {"expires": RECEIPTS_SECONDS},
        },
        **{
            f"queue probe {queue}": {
                "task": TaskName.QUEUE_PROBE.value,
                "schedule": QUEUE_PROBE_SECONDS,
                "kwargs": {"queue": queue.value},
                "options": {"queue": queue.value, "expires": QUEUE_PROBE_SECONDS},
            }
            for queue in QueueName
        },
        # Beat stores no times, so each is enqueued often, and the rows of past runs decide whether it is due.
        **{
            task.name.lower(): {
                "task": task.value,
                "schedule": RECONCILE_SECONDS,
                "options": {"expires": RECONCILE_SECONDS},
            }
            for task in (TaskName.RECONCILE_EVENTS, TaskName.RECONCILE_PURCHASES, TaskName.RECONCILE_OBJECTS)
        },
    },
)
broker = publisher.install(settings)


class EventBatches(StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Lets the events of tasks, which Flower shows, gather for a while; a step of a worker's consumer.

    Celery sends them with every turn of its loop, so that a busy worker sends the broker a message, and waits for the
    answer, for nearly every event.
    """

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._waiting = threading.Event()
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Send what has gathered at intervals; without an event loop, Celery sends each event by itself."""
        if consumer.hub:
            consumer.event_dispatcher.on_send_buffered = self._waiting.set
            self._timer = consumer.hub.call_repeatedly(EVENTS_SECONDS, self._flush, consumer)

    def stop(self, consumer: Any) -> None:
        """Send the last events; after a lost connection, Celery starts this step again."""
        if self._timer:
            self._timer.cancel()
            self._flush(consumer)

    def _flush(self, consumer: Any) -> None:
        if self._waiting.is_set() and consumer.event_dispatcher:
            self._waiting.clear()
            consumer.event_dispatcher.flush()


app.steps["consumer"].add(EventBatches)


@task_received.connect(weak=False)
def _use_broker_again(**_: Any) -> None:
    """The broker has just delivered a message to this process, so publishing need not wait any longer."""
    broker.close_circuit()


@setup_logging.connect(weak=False)
def _configure_logging(**_: Any) -> None:
    """Configure our logging; a receiver of this signal keeps Celery from configuring its own."""
    logs.configure(settings.log_format, level=settings.log_level)
    threads.report_unhandled()


@beat_init.connect(weak=False)
def probe_queues_on_start(**_: Any) -> None:
    """Probe every queue when beat starts, because the schedule's first probe comes only after its interval."""
    for queue in QueueName:
        broker(TaskMessage(TaskName.QUEUE_PROBE, queue, {"queue": queue.value}))
