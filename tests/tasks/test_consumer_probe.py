"""A worker whose connection to the broker is half open is seen, says so and ends; the others go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import redis
import structlog
from sqlalchemy import text

from devstack.fault_proxy import running_fault_proxy
from models.db import SessionFactory, session_scope
from models.rules.prices.pricing import Provider
from models.services.operations import queue_pauses, worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo, WorkerStatus
from models.tables import Execution
from tasks.publisher import TaskPublisher
from tasks.queue import QueueName, TaskMessage, TaskName
from tests.support import factories
from workers.worker_heartbeat import ConsumerProbe

ROOT = Path(__file__).parent.parent.parent
PACE = 0.05


def eventually(true: Callable[[], Any], seconds: float = 40) -> None:
    """Wait for it."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)


def seen() -> dict[str, WorkerStatus]:
    with session_scope() as session:
        return {
            worker.name.partition("@")[0]: worker.status for worker in worker_heartbeats.overview(session, []).workers
        }


class Surroundings:
    """The callbacks of a probe, and their calls."""

    def __init__(self, name: str = "me@here") -> None:
        self.broker_takes, self.is_full, self.left = True, False, False
        self.paused: list[frozenset[str]] = []
        self.probe = ConsumerProbe(
            WorkerInfo(name, "here:1", ["billing"], PACE),
            echo=lambda: self.broker_takes,
            full=lambda: self.is_full,
            leave=lambda: setattr(self, "left", True),
            calls=lambda: {Provider.OPENAI: {"queued": 7}},
            pause=self.paused.append,
        )


@pytest.fixture
def around(committed_database: str) -> Iterator[Surroundings]:
    surroundings = Surroundings()
    surroundings.probe.start()
    yield surroundings
    surroundings.probe.stop()
    assert seen() == {}


class TestConsumerProbe:
    def test_whose_messages_are_taken_and_never_come_leaves(self, around):
        with structlog.testing.capture_logs() as lines:
            eventually(lambda: around.left)
        assert [line["worker"] for line in lines if line["event"] == "worker.unresponsive"] == ["me@here"]
        assert seen() == {"me": WorkerStatus.UNRESPONSIVE}

    def test_that_receives_something_stays(self, around):
        for _ in range(20):
            around.probe.record_echo()
            time.sleep(PACE)
        assert not around.left
        eventually(lambda: around.probe.record_echo() or seen() == {"me": WorkerStatus.UP})
        with session_scope() as session:
            assert worker_heartbeats.calls(session) == {("openai", "queued"): 7}

    def test_stays_while_the_broker_is_away_for_all(self, around):
        around.broker_takes = False
        around.probe.record_echo()  # what was asked before is not held against it
        time.sleep(PACE * 15)
        assert not around.left

    def test_leaves_when_the_broker_is_away_from_it_alone(self, around):
        around.broker_takes = False
        around.probe.record_echo()

        def others_responsive() -> bool:
            with session_scope() as session:
                worker_heartbeats.report(session, WorkerInfo("other@there", "there:1", [], 15), silent=0, full=False)
            return around.left

        eventually(others_responsive)
        with session_scope() as session:
            worker_heartbeats.leave(session, WorkerInfo("other@there", "there:1", [], 15))

    def test_whose_threads_are_all_at_work_stays(self, around):
        around.is_full = True
        time.sleep(PACE * 15)
        assert not around.left
        eventually(lambda: seen() == {"me": WorkerStatus.FULL})

    def test_keeps_listening_while_the_database_is_away(self, around):
        eventually(seen)
        bound = SessionFactory.kw["bind"]
        SessionFactory.configure(bind=None)
        time.sleep(PACE * 3)
        SessionFactory.configure(bind=bound)
        eventually(lambda: around.left)


@contextmanager
def worker(name: str, database: str, broker: str) -> Iterator[subprocess.Popen[str]]:
    """A real worker process."""
    env = os.environ | {
        "AGENTFORGE_ENV": "test",
        "DATABASE_URL": database,
        "REDIS_URL": broker,
        "PRESENCE_SECONDS": "1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "celery_config:app",
        "worker",
        "-P",
        "threads",
        "-c",
        "4",
    ]
    command += [
        "-Q",
        "executions.low",
        "-n",
        f"{name}@%h",
        "--loglevel",
        "INFO",
        "--without-gossip",
        "--without-mingle",
    ]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        try:
            yield run
        finally:
            if run.poll() is None:
                run.send_signal(signal.SIGKILL)


@pytest.mark.faults
def test_an_unresponsive_worker_is_reported_and_exits_unlike_others(committed_database, redis_url):
    port = urlsplit(redis_url).port
    assert port
    with (
        running_fault_proxy(port) as proxy,
        worker("deaf", committed_database, redis_url.replace(f":{port}", f":{proxy.port}")) as deaf,
        worker("other", committed_database, redis_url),
    ):
        eventually(lambda: seen() == {"deaf": WorkerStatus.UP, "other": WorkerStatus.UP})
        eventually(lambda: not waiting(redis_url))  # their echoes arrived
        begun = time.monotonic()
        proxy.freeze_present()
        eventually(lambda: seen()["deaf"] is WorkerStatus.UNRESPONSIVE)
        assert deaf.wait(60) is not None
        assert time.monotonic() - begun < 60
        assert '"event":"worker.unresponsive"' in deaf.stdout.read()
        eventually(lambda: seen()["other"] is WorkerStatus.UP)
        run = submitted(redis_url)
        eventually(lambda: over(run))


@pytest.mark.faults
def test_a_worker_takes_nothing_from_a_paused_queue_until_it_is_resumed(committed_database, redis_url):
    with worker("obedient", committed_database, redis_url), redis.Redis.from_url(redis_url) as broker:
        eventually(lambda: seen() == {"obedient": WorkerStatus.UP})
        with session_scope() as session:
            assert queue_pauses.pause(session, "executions.low", by="me@here")
        eventually(noticed)
        run = submitted(redis_url)
        broker.client_kill_filter(_type="normal", skipme=True)  # it reconnects, and stays paused
        eventually(lambda: not waiting(redis_url))
        assert broker.llen("executions.low") == 1
        with session_scope() as session:
            assert queue_pauses.resume(session, "executions.low")
        eventually(lambda: over(run))
        broker.client_kill_filter(_type="normal", skipme=True)
        second = submitted(redis_url)
        eventually(lambda: over(second))


def noticed() -> bool:
    """Whether the worker read the pause, and reported once more since."""
    with session_scope() as session:
        rows = text("SELECT seen_at - paused_at > interval '1.5 seconds' FROM workers, paused_queues")
        return bool(session.scalar(rows))


def waiting(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return sum(client.llen(key) for key in client.keys("worker.*"))


def submitted(redis_url: str) -> UUID:
    """A run whose message was published."""
    graph = factories.chain(factories.node("a", config={"operation": "transform", "expression": "1"}))
    with session_scope() as session:
        run = factories.execution(session, factories.workflow(session, graph=graph))
    message = TaskMessage(TaskName.DRIVE_EXECUTION, QueueName.EXECUTIONS_LOW, {"execution_id": str(run.id)})
    assert TaskPublisher(redis_url)(message)
    return run.id


def over(run: UUID) -> bool:
    with session_scope() as session:
        return session.get_one(Execution, run).status == "success"
