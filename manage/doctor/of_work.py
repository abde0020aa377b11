"""Checks of queues, workers, beat, and what waits for a person."""

import time
from collections.abc import Iterator

from sqlalchemy.orm import Session

from manage.doctor.results import CheckResult, by_age, ok, warning, wrong
from models.services.executions import dead_letters
from models.services.operations import backlog, thread_failures, worker_heartbeats
from models.services.operations.worker_heartbeats import PROBE_LATE_SECONDS, WorkerStatus
from models.services.stripe import stripe_events
from settings import Settings
from tasks.queue import CONSUMED, QueueName

OLDEST_SECONDS = 300.0


def queues(session: Session, _: Settings) -> Iterator[CheckResult]:
    """Every queue has a worker, and nothing waits long for one."""
    for queue in worker_heartbeats.overview(session, QueueName).queues:
        role = next(role for role, names in CONSUMED.items() if queue.name in names)
        if queue.status == "down":
            yield wrong("queues", f"No worker consumes {queue.name}.", f"Start a process of the role {role}.")
        elif queue.status == "paused":
            said = f"{queue.name} is paused: its work waits."
            yield warning("queues", said, f"`agentforge queues resume {queue.name}`, once the reason is gone.")
        elif queue.status == "late":
            said = f"Messages of {queue.name} are not taken: its last probe is older than two minutes."
            yield warning("queues", said, f"Start more processes of the role {role}; see `agentforge workers`.")
    for name, waiting in backlog.by_queue(session).items():
        age = time.time() - waiting.oldest.timestamp() if waiting.oldest else 0.0
        if age > OLDEST_SECONDS:
            said = f"The oldest of {waiting.rows} rows of {name} waits for {age / 60:.0f} minutes."
            yield warning("queues", said, "Start more workers, or see `agentforge runs why` for one of them.")


def workers(session: Session, _: Settings) -> Iterator[CheckResult]:
    """Every worker reports, and gets messages."""
    seen = worker_heartbeats.overview(session, QueueName).workers
    for worker in seen:
        if worker.status is WorkerStatus.UNRESPONSIVE:
            said = f"{worker.name} gets no messages."
            yield wrong("workers", said, "It exits within 90 seconds, and its supervisor restarts it; else restart it.")
        elif worker.status is WorkerStatus.GONE:
            said = f"{worker.name} vanished at {worker.seen_at:%H:%M:%S} UTC without signing off."
            yield warning("workers", said, "See its log and the kernel's for its end; its runs go on elsewhere.")
    consuming = sum(worker.is_consuming for worker in seen)
    if consuming:
        yield ok("workers", f"{consuming} workers consume.")
    else:
        yield wrong("workers", "No worker runs.", "Start worker-executions and worker-billing.")
    if failing := thread_failures.failing(session):
        said = f"{failing} kinds of threads failed within two minutes."
        yield warning("workers", said, "They go on by themselves; report the traceback of `thread.failed` in the log.")


def beat(session: Session, _: Settings) -> Iterator[CheckResult]:
    """Beat sent its periodic tasks, and workers performed them."""
    age = worker_heartbeats.overview(session, QueueName).probe_seconds
    mend = "Start beat: without it nothing lost is sent again, and no timer fires."
    if age is None:
        yield wrong("beat", "No periodic task ever ran.", mend)
    else:
        yield by_age("beat", "The last periodic task ran", age, late=PROBE_LATE_SECONDS, mend=mend)


def letters(session: Session, _: Settings) -> Iterator[CheckResult]:
    """No dead letter waits for a person."""
    runs, events = dead_letters.count(session), stripe_events.backlog(session).dead
    if runs or events:
        said = f"{runs} runs and {events} Stripe events wait for a person."
        yield wrong(
            "dead letters", said, "`agentforge dead-letters list` says why; then `agentforge dead-letters retry`."
        )
    else:
        yield ok("dead letters", "There are none.")
