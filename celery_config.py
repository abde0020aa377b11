"""The Celery application: queues, routes, schedule and the broker's time-outs.

Messages are doorbells (see `tasks/queue.py`): they are acknowledged early, carry ids only, have no results, and may be
lost or doubled without harm. Task modules are named as strings, so that importing this module imports no task.
"""

from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging
from kombu import Queue

import logs
from models.changes import announce_through
from settings import Settings
from tasks.announcer import Announcer
from tasks.queue import ROUTES, Broker, Doorbell, QueueName, TaskName, publish_through

SWEEP_SECONDS = 5.0
PRUNE_SECONDS = 60.0
CANARY_SECONDS = 60.0
BILLING_SWEEP_SECONDS = 10.0
RECONCILE_SECONDS = 300.0

settings = Settings.from_env()

app = Celery(
    "agentforge",
    include=(
        "tasks.billing",
        "tasks.executions",
        "tasks.keys",
        "tasks.maintenance",
        "tasks.notifications",
        "tasks.presence",
        "tasks.reconcile",
    ),
)
app.conf.update(
    broker_url=settings.redis_url,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker waits for its broker as long as it takes
    broker_transport_options={
        # Without these a worker with a half-open connection stays deaf for minutes.
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "queue_order_strategy": "tasks.order:WeightedOrder",
        # Only prefetched messages wait unacknowledged; a repeat is harmless, a lost one is found by the sweep.
        "visibility_timeout": 600,
    },
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_acks_late=False,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2},
    task_default_queue=QueueName.MAINTENANCE.value,
    task_create_missing_queues=False,
    task_queues=[Queue(name.value, routing_key=name.value) for name in QueueName],
    task_routes={task.value: {"queue": queue.value} for task, queue in ROUTES.items()},
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,  # a job waits where another worker can take it, and behind those before it
    worker_send_task_events=True,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    enable_utc=True,
    timezone="UTC",
    beat_scheduler="celery.beat:Scheduler",  # intervals only, so there is nothing to remember in a file
    beat_max_loop_interval=SWEEP_SECONDS,
    beat_schedule={
        # Sweeps that nobody took expire before the next one, so a backlog of them never builds.
        "sweep": {"task": TaskName.SWEEP.value, "schedule": SWEEP_SECONDS, "options": {"expires": SWEEP_SECONDS}},
        "prune": {"task": TaskName.PRUNE.value, "schedule": PRUNE_SECONDS, "options": {"expires": PRUNE_SECONDS}},
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
        **{
            f"canary {queue}": {
                "task": TaskName.CANARY.value,
                "schedule": CANARY_SECONDS,
                "kwargs": {"queue": queue.value},
                "options": {"queue": queue.value, "expires": CANARY_SECONDS},
            }
            for queue in QueueName
        },
        # Beat has no memory, so each is asked for often, and the rows of past runs say whether it is due.
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
broker = Broker(app)
publish_through(broker)
announce_through(Announcer(settings.redis_url))


@setup_logging.connect(weak=False)
def _log_our_way(**_: Any) -> None:
    """Taking this signal keeps Celery from configuring its own logging."""
    logs.configure(settings.log_format)


@beat_init.connect(weak=False)
def _sing_at_once(**_: Any) -> None:
    """A schedule begins with its first pause; whoever looks at a service that was just started need not wait for it."""
    for queue in QueueName:
        broker.ring(Doorbell(TaskName.CANARY, queue, {"queue": queue.value}))
