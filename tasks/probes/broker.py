"""Probe of Redis and the broker: whether they respond, and how many messages wait in a queue."""

from collections.abc import Iterable

import amqp
import redis
import structlog
from kombu import Connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.publisher import AMQP_OPTIONS
from tasks.queue import QueueName
from tasks.redis_client import celery_broker, connect, is_redis, reason_of

log = structlog.get_logger(__name__)


class BrokerProbe:
    """Probes with a time-out of one second and no retries; logs once when a server stops responding."""

    def __init__(self, redis_url: str, broker_url: str = "") -> None:
        """`broker_url` is the address of the task queues, by default that of the Redis."""
        self._redis = _client(redis_url)
        self._is_separate = bool(broker_url) and broker_url != redis_url
        self._amqp = None if not broker_url or is_redis(broker_url) else celery_broker(broker_url)
        self._queues = _client(broker_url) if self._is_separate and self._amqp is None else self._redis
        self._away: set[str] = set()

    def redis_is_up(self) -> bool:
        """Whether Redis responds."""
        return self._pings("redis", self._redis)

    def is_up(self) -> bool:
        """Whether the broker responds."""
        if self._amqp is None:
            return self._pings("broker", self._queues)
        return self._amqp_lengths([]) is not None

    def lengths(self, queues: Iterable[str] = tuple(QueueName)) -> dict[str, int]:
        """Lengths of queues by name; empty while the broker is unavailable."""
        names = [str(queue) for queue in queues]
        if self._amqp is not None:
            return self._amqp_lengths(names) or {}
        try:
            with self._queues.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.llen(name)
                return dict(zip(names, pipe.execute(), strict=True))
        except redis.RedisError:
            return {}

    def _pings(self, server: str, client: redis.Redis) -> bool:
        try:
            responds = bool(client.ping())
        except redis.RedisError as error:
            if server not in self._away:
                log.warning(f"{server}.unreachable", reason=reason_of(error))
            self._away.add(server)
            return False
        self._away.discard(server)
        return responds

    def _amqp_lengths(self, names: Iterable[str]) -> dict[str, int] | None:
        """Lengths by queue, None while the broker is unavailable; a queue that is not declared has no messages."""
        broker = self._amqp
        assert broker is not None  # noqa: S101  # for the type checker
        bounds = dict(AMQP_OPTIONS)
        try:
            with Connection(broker.url, ssl=broker.tls, connect_timeout=1, transport_options=bounds) as connection:
                connection.connect()
                return {name: _messages(connection, name) for name in names}
        except (OSError, amqp.AMQPError):
            return None


def _client(url: str) -> redis.Redis:
    return connect(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))


def _messages(connection: Connection, queue: str) -> int:
    """The length of a queue, on a channel of its own: the broker closes the channel if there is no such queue."""
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)
    except amqp.NotFound:
        return 0
