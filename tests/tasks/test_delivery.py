"""How a worker takes task messages from Redis."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Queue
from redis import Redis

from celery_config import app as ours

QUEUE = Queue("executions.normal")


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    """Takes messages as our workers do, from a Redis of its own."""
    with Celery("delivery", broker=redis_url, set_as_current=False) as made:
        made.conf.broker_transport_options = ours.conf.broker_transport_options
        with made.connection_for_write() as connection:
            connection.Producer().publish({}, routing_key=QUEUE.name, declare=[QUEUE])
        yield made


def take(connection: Any) -> Any:
    """The message that waits, in the hands of a worker."""
    taken: list[Any] = []
    with connection.Consumer([QUEUE], callbacks=[lambda _, message: taken.append(message)]):
        connection.drain_events(timeout=30)
    return taken[0]


def test_a_message_that_is_taken_leaves_nothing_in_redis(app: Celery, redis_client: Redis) -> None:
    with app.connection_for_read() as connection:
        message = take(connection)
        kept = {key for key in redis_client.scan_iter() if not key.startswith(b"_kombu.binding.")}
        message.ack()
    assert kept == set()


def test_a_message_whose_task_has_not_begun_goes_back_as_its_worker_leaves(app: Celery, redis_client: Redis) -> None:
    with app.connection_for_read() as connection:
        take(connection)
        assert redis_client.llen(QUEUE.name) == 0
    assert redis_client.llen(QUEUE.name) == 1


def test_a_message_whose_task_has_begun_does_not_go_back(app: Celery, redis_client: Redis) -> None:
    with app.connection_for_read() as connection:
        take(connection).ack()
    assert redis_client.llen(QUEUE.name) == 0
