"""Publishes task messages to the broker, with short time-outs and a circuit breaker.

The messages are Celery's own. To RabbitMQ kombu sends them. To Redis they go without kombu's transport, which creates a
Redis client for every message (ADR 33), in the envelope that kombu would make; a test compares the two.
"""

import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import uuid4

import orjson
import redis
import structlog
from celery import Celery
from celery.app.amqp import task_message
from kombu import Connection, Queue
from kombu.pools import ProducerPool
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.changes import set_change_publisher
from settings import Settings
from tasks.change_publisher import RedisChangePublisher
from tasks.queue import QueueName, TaskMessage, set_publisher
from tasks.redis_client import celery_broker, connect, is_redis, reason_of
from telemetry import tracing

log = structlog.get_logger(__name__)

# Publishing is bounded more tightly than consuming, because a request waits for it.
REDIS_OPTIONS = {"socket_timeout": 1, "socket_connect_timeout": 1, "socket_keepalive": True}
AMQP_OPTIONS = {"read_timeout": 1, "write_timeout": 1}
RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
CIRCUIT_OPEN_SECONDS = 3.0  # after a failed publish, no other request waits for the broker that long

_celery = Celery("publisher", set_as_current=False)  # makes messages; the sending is below


class Transport(Protocol):
    """Sends messages to a broker. Connects on first use, after any fork; threads may share it."""

    def send(self, message: TaskMessage) -> None:
        """Send one message, in two tries of at most a second each; raises what the client raises."""


class TaskPublisher:
    """Publishes task messages; after a failure it does not try the broker for a moment."""

    def __init__(self, broker_url: str) -> None:
        self._kombu: Transport = KombuTransport(broker_url)
        self._named: Transport = RedisTransport(broker_url) if is_redis(broker_url) else self._kombu
        self._away = False
        self._circuit_open_until = 0.0

    def __call__(self, message: TaskMessage) -> bool:
        """Publish the message and return whether the broker accepted it; logs instead of raising.

        Takes a few seconds at most with a broker that does not respond, and no time within `CIRCUIT_OPEN_SECONDS` of a
        failure.
        """
        if time.monotonic() < self._circuit_open_until:
            log.warning(
                "task.publish_failed",
                task=message.task,
                reason="the broker is unavailable",
                **message.logged(message.ids),
            )
            return False
        if self._away:
            self._open_circuit(away=True)  # this call tries whether the broker is back; others do not wait for it
        try:
            self._send(message)
        except Exception as error:  # the row is committed: the request must succeed, and the sweep publishes again
            self._open_circuit(away=True)
            log.warning(
                "task.publish_failed", task=message.task, reason=reason_of(error), **message.logged(message.ids)
            )
            return False
        self._open_circuit(away=False)
        return True

    def _send(self, message: TaskMessage) -> None:
        transport = self._named if isinstance(message.queue, QueueName) else self._kombu
        if (parent := tracing.traceparent()) is None:
            transport.send(message)
            return
        with tracing.inside(tracing.begin(f"{message.task} publish", "producer", parent=parent)):
            transport.send(message)

    def close_circuit(self) -> None:
        """Try the broker again at the next message."""
        self._open_circuit(away=False)

    def _open_circuit(self, *, away: bool) -> None:
        self._away = away
        self._circuit_open_until = time.monotonic() + CIRCUIT_OPEN_SECONDS if away else 0.0


class RedisTransport:
    """Sends messages to named queues in Redis."""

    def __init__(self, url: str) -> None:
        self._client = connect(url, **REDIS_OPTIONS, retry=Retry(NoBackoff(), 0))

    def send(self, message: TaskMessage) -> None:
        """Append the message to its queue."""
        envelope = _enveloped(_message(message), str(message.queue))
        try:
            self._client.lpush(str(message.queue), envelope)
        except (redis.ConnectionError, redis.TimeoutError):  # the connection may have been closed while it was idle
            self._client.lpush(str(message.queue), envelope)


class KombuTransport:
    """Sends messages to queues of any broker, and declares the queues."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._pool: ProducerPool | None = None

    def send(self, message: TaskMessage) -> None:
        """Publish the message."""
        queue = message.queue if isinstance(message.queue, Queue) else Queue(message.queue.value)
        headers, properties, body, _ = _message(message)
        with self._producers().acquire(block=True, timeout=1) as producer:
            producer.publish(
                body,
                exchange="",
                routing_key=queue.name,
                declare=[queue],
                serializer="json",
                headers=headers,
                delivery_mode=2,
                retry=True,
                retry_policy=RETRY,
                **properties,
            )

    def _producers(self) -> ProducerPool:
        with self._lock:
            if self._pool is None:
                broker, bounds = celery_broker(self._url), REDIS_OPTIONS if is_redis(self._url) else AMQP_OPTIONS
                connection = Connection(
                    broker.url, ssl=broker.tls, transport_options={**broker.options, **bounds}, connect_timeout=1
                )
                self._pool = ProducerPool(connection.Pool(limit=10), limit=10)
            return self._pool


def install(settings: Settings) -> TaskPublisher:
    """Publish this process's task messages and changes to the servers of `settings`; returns the publisher."""
    publisher = TaskPublisher(settings.broker_url)
    set_publisher(publisher)
    if settings.redis_url:  # or this process changes no rows
        set_change_publisher(RedisChangePublisher(settings.redis_url))
    return publisher


def _message(message: TaskMessage) -> task_message:
    """Celery's message; `argsrepr` and `kwargsrepr` are given because Celery's own cost more than all the rest."""
    ids: Mapping[str, Any] = message.ids
    shown = repr({**message.shown, **ids})  # what Flower lists as the arguments
    made = _celery.amqp.create_task_message(
        str(uuid4()), message.task.value, kwargs=ids, argsrepr="()", kwargsrepr=shown, ignore_result=True
    )
    made.headers.update(message.headers)
    return made


def _enveloped(message: task_message, queue: str) -> bytes:
    """The message as kombu writes it to Redis."""
    headers, properties, body, _ = message
    properties |= {
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    envelope = {"content-encoding": "utf-8", "content-type": "application/json"}
    text = b64encode(orjson.dumps(body)).decode()
    return orjson.dumps({**envelope, "body": text, "headers": headers, "properties": properties})
