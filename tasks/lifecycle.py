"""Composition root of a worker process: settings become gateways, gateways an engine, once, on first use.

A worker that is told to stop hands its executions over within seconds; nothing waits for a lease to run out.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from celery.signals import worker_init, worker_shutting_down

from celery_config import settings
from models.db import connect
from models.rules.pricing import Priority
from models.services.presence import Calls
from models.services.wards import WARD
from models.vault import Vault
from tasks.queue import Doorbell, QueueName, TaskName, publish
from workers.billing.subjects import Follower
from workers.engine.performer import Gateways, Performer
from workers.engine.runtime import Pace, Runtime
from workers.engine.wards import Process
from workers.gateways.http import HttpGateway
from workers.gateways.mail import MailGateway
from workers.gateways.openclaw import make_openclaw
from workers.gateways.providers import Providers
from workers.gateways.push import PushGateway
from workers.gateways.stripe import StripeGateway
from workers.notifications.sender import Sender

ROOT = Path(__file__).parent.parent
LEAVING_SECONDS = 8.0  # for all drivers to stop; supervisors usually kill after ten

T = TypeVar("T")
_making = threading.RLock()
_runtimes: list[Runtime] = []  # of this process: none before its first run, then one


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Make it when it is first asked for, and never a second time: many threads ask first at once."""
    made = cache(make)

    @wraps(make)
    def get() -> T:
        with _making:
            return made()

    return get


@worker_init.connect(weak=False)
def _connect(**_: Any) -> None:
    """Before the first task: bind the database sessions of this process."""
    connect(settings.database_url, pool_size=20)


@once
def gateways() -> Gateways:
    """The ways out of this process."""
    return Gateways(
        http=HttpGateway(allow=settings.egress_allow),
        providers=Providers(settings.providers),
        openclaw=make_openclaw(settings.openclaw),
        openclaw_settings=settings.openclaw,
        vault=Vault(settings.encryption_keys),
    )


@once
def runtime() -> Runtime:
    """The engine of this process."""
    worker_shutting_down.connect(_leave_soon, weak=False)
    pace = _pace(settings.openclaw.max_in_flight)
    made = Runtime(Performer(gateways()), owner=process_name(), pace=pace, ring=_ring, start_ward=_start_ward)
    _runtimes.append(made)
    return made


@once
def ward_runtime() -> Runtime:
    """The engine of a ward: its turns come on top of those that workers were allowed, so it has one at a time."""
    return Runtime(Performer(gateways()), owner=f"{WARD}{process_name()}", pace=_pace(turns=1), ring=_ring)


def calls_under_way() -> Calls:
    """How many calls the engine of this process has at each provider; none while it has no engine."""
    return _runtimes[0].calls() if _runtimes else {}


def process_name() -> str:
    """Names this process in leases and to operators."""
    return f"{socket.gethostname()}:{os.getpid()}"


@once
def sender() -> Sender:
    """Whoever tells users what happened."""
    said = settings.messages
    mail, push = MailGateway(said.smtp_url, said.mail_from), PushGateway(said.expo_url, access_token=said.expo_token)
    return Sender(mail, push, app_url=said.app_url)


@once
def stripe() -> StripeGateway:
    """The line to Stripe, made after this process was forked."""
    return StripeGateway(settings.stripe.secret_key, settings.stripe.base_url)


@once
def follower() -> Follower:
    """Whoever brings home what Stripe knows."""
    return Follower(stripe(), settings.stripe.tiers)


def _pace(turns: int) -> Pace:
    return Pace(settings.lease_seconds, settings.heartbeat_seconds, settings.node_threads, turns)


def _start_ward(execution_id: UUID, epoch: int) -> Process:
    """It gets this process's environment, and nothing that is secret on its command line."""
    return Process([sys.executable, "-m", "tasks.ward", str(execution_id), str(epoch)], ROOT)


def _ring(execution_id: UUID, priority: Priority) -> None:
    """A driver of ours has started a run."""
    publish(
        Doorbell(TaskName.DRIVE_EXECUTION, QueueName(f"executions.{priority}"), {"execution_id": str(execution_id)})
    )


def _leave_soon(**_: Any) -> None:
    """In a signal handler: the drivers' own threads must go on, so that they can stop in good order."""
    threading.Thread(target=_leave, name="leaving").start()


def _leave() -> None:
    runtime().leave(LEAVING_SECONDS)
    gateways().openclaw.close()  # turns go on in the gateway; whoever takes over finds them by their key
