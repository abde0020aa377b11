"""The events of tasks reach Flower, many in one message."""

import re
from base64 import b64decode
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from kombu.asynchronous.hub import Hub

from celery_config import EventBatches
from devstack.servers.redis_server import RedisServer
from tests.support.database.statements import recorded_commands


@pytest.fixture
def consumer(redis_server: RedisServer) -> Iterator[Any]:
    """What of a worker's consumer the step uses: its loop and its dispatcher, on a real Redis."""
    app = Celery("events", broker=redis_server.url("7"), set_as_current=False)
    with app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection, buffer_group=["task"], hostname="worker@here")
        yield SimpleNamespace(hub=Hub(), event_dispatcher=dispatcher)


def begin(consumer: Any, number: int) -> None:
    for task in range(number):
        consumer.event_dispatcher.send("task-started", uuid=str(task))


def messages(commands: list[bytes]) -> list[int]:
    """The number of events in each message."""
    bodies = [re.search(rb'"body": ?"([^"]+)"', command) for command in commands if b"PUBLISH" in command]
    return [b64decode(body[1]).count(b'"task-started"') for body in bodies if body]


def let_time_pass(consumer: Any) -> None:
    """Let all timers of the loop be due once."""
    for *_, entry in list(consumer.hub.timer.queue):
        entry()


def test_events_gather_for_a_while_and_are_one_message(consumer: Any) -> None:
    EventBatches(consumer).start(consumer)
    with recorded_commands() as commands:
        begin(consumer, 10)
        assert messages(commands) == []
        let_time_pass(consumer)
        assert messages(commands) == [10]
        let_time_pass(consumer)
    assert messages(commands) == [10]


def test_the_last_events_of_a_worker_are_sent_as_it_stops(consumer: Any) -> None:
    step = EventBatches(consumer)
    step.start(consumer)
    with recorded_commands() as commands:
        begin(consumer, 3)
        step.stop(consumer)
    assert messages(commands) == [3]
