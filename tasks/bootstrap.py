"""Composition root of a worker process: makes the gateways from the settings and the engine from them, on first use.

A worker that is asked to stop releases its executions within seconds, so that no lease has to expire first.
"""

import gc
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
from redis.backoff import NoBackoff
from redis.retry import Retry

import threads
from models.db import connect
from models.services.operations.worker_heartbeats import Calls
from models.services.orchestration.isolated_runs import ISOLATED_PREFIX
from models.services.orchestration.redelivery import TaskTarget
from models.vault import Vault
from settings import process_settings
from tasks import redis_client
from tasks.queue import publish, run_message
from workers.engine.attempts.effect_executor import GatewayExecutor, Gateways
from workers.engine.attempts.redis_places import RedisPlaces
from workers.engine.process.isolation import Subprocess
from workers.engine.process.memory import Memory
from workers.engine.process.runtime import EngineConfig, Runtime
from workers.gateways.http.client import HttpGateway
from workers.gateways.mail import MailGateway
from workers.gateways.openclaw import make_openclaw
from workers.gateways.providers import Providers
from workers.gateways.push import PushGateway
from workers.gateways.stripe.gateway import StripeGateway
from workers.notifications.sender import Sender
from workers.stripe.sync import StripeSync

ROOT = Path(__file__).parent.parent
LEAVING_SECONDS = 8.0  # for all drivers to stop; supervisors usually kill after ten

settings = process_settings()
T = TypeVar("T")
_making = threading.RLock()
_runtimes: list[Runtime] = []  # of this process: none before its first run, then one


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Decorate a function so that it is called once, on first use, even by several threads; its result is kept."""
    made = cache(make)

    @wraps(make)
    def get() -> T:
        with _making:
            return made()

    return get


@worker_init.connect(weak=False)
def _connect(**_: Any) -> None:
    """Before the first task, limit the memory that this process keeps and bind its database sessions."""
    Memory().bound()
    gc.collect()
    gc.freeze()  # modules and tasks stay, so no collection has to look at them
    connect(settings.database_url, pool_size=20)


@once
def gateways() -> Gateways:
    """The gateways of this process to the outside."""
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
    made = Runtime(
        GatewayExecutor(gateways()),
        owner=process_name(),
        config=_engine_config(),
        enqueue=_enqueue_child,
        start_isolated=_start_isolated,
        places=_places(process_name()),
    )
    _runtimes.append(made)
    return made


@once
def isolated_runtime() -> Runtime:
    """The engine of an isolated process."""
    owner = f"{ISOLATED_PREFIX}{process_name()}"
    return Runtime(
        GatewayExecutor(gateways()),
        owner=owner,
        config=_engine_config(),
        enqueue=_enqueue_child,
        places=_places(owner),
    )


def calls_under_way() -> Calls:
    """Calls that the engine of this process has under way, by provider; empty while it has no engine."""
    return _runtimes[0].calls() if _runtimes else {}


def process_name() -> str:
    """The name of this process in leases and for operators, as host:pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


@once
def sender() -> Sender:
    """The sender of notifications."""
    messages = settings.messages
    return Sender(
        MailGateway(messages.smtp_url, messages.mail_from),
        push(),
        app_url=messages.app_url,
        pages_url=messages.console_url,
    )


@once
def push() -> PushGateway:
    """The gateway for push notifications."""
    return PushGateway(settings.messages.expo_url, access_token=settings.messages.expo_token)


@once
def stripe() -> StripeGateway:
    """The Stripe client; made on first use, so after this process was forked."""
    return StripeGateway(settings.stripe.secret_key, settings.stripe.base_url)


@once
def stripe_sync() -> StripeSync:
    """The synchroniser of Stripe objects."""
    return StripeSync(stripe(), settings.stripe.tiers)


def _engine_config() -> EngineConfig:
    turns = settings.openclaw.max_in_flight
    return EngineConfig(settings.lease_seconds, settings.heartbeat_seconds, settings.node_threads, turns)


def _places(process: str) -> RedisPlaces:
    """The places of this process in the limits of all workers."""
    options = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 0)}
    client = redis_client.connect(settings.redis_url, **options)
    return RedisPlaces(client, process=process, lease_seconds=settings.lease_seconds)


def _start_isolated(execution_id: UUID, epoch: int) -> Subprocess:
    """Start a process that drives the run alone; secrets reach it by the environment, not by the command line."""
    return Subprocess([sys.executable, "-m", "tasks.isolated_run", str(execution_id), str(epoch)], ROOT)


def _enqueue_child(run: TaskTarget) -> None:
    """Enqueue a child run that a driver of this process started."""
    publish(run_message(run))


def _leave_soon(**_: Any) -> None:
    """Shut down in a thread of its own: this is a signal handler, and the drivers' threads must go on to stop."""
    threads.run_once("leaving", _leave, daemon=False)


def _leave() -> None:
    runtime().shut_down(LEAVING_SECONDS)
    gateways().openclaw.close()  # agent turns go on in the gateway; the next driver finds them by their key
