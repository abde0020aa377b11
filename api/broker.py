"""A look at the broker from outside: whether it answers, and how many doorbells wait in a queue."""

from collections.abc import Iterable

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.queue import QueueName


class Broker:
    """Bounded in time: a second per question, and none is asked twice."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        )

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            return bool(self._client.ping())
        except redis.RedisError:
            return False

    def lengths(self, queues: Iterable[str] = tuple(QueueName)) -> dict[str, int]:
        """Messages that wait, by queue; nothing while the broker is away."""
        names = [str(queue) for queue in queues]
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.llen(name)
                return dict(zip(names, pipe.execute(), strict=True))
        except redis.RedisError:
            return {}
