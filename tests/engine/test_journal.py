"""The one writer of a process: what waits is written together, but never so much that the database refuses it."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from queue import Queue
from uuid import UUID

import orjson
import psycopg2
import pytest

from models.db import session_scope
from models.rules.schedule import Step
from models.rules.states import NodeStatus
from models.services import leases
from models.services.journal import NodeRow, Progress
from tests.engine.conftest import Bench, call, transform
from tests.engine.test_waiting import answer, ask
from workers.engine.endings import Left
from workers.engine.journal import LARGEST_BATCH, Journal

MIB = orjson.dumps("x" * 1_000_000)
Result = tuple[UUID, Exception | None]


@pytest.fixture
def written() -> Queue[Result]:
    """What became of each write."""
    return Queue()


@pytest.fixture
def progress(bench: Bench) -> Callable[[int], Progress]:
    """Makes what the driver of a run of its own has to say: so many results of a megabyte each."""
    bench.sql("UPDATE users SET subscription_tier = 'enterprise'")  # which may run many at a time

    def make(results: int) -> Progress:
        execution_id = bench.submit([transform("a", "1")])
        with session_scope() as session:
            lease = leases.claim(session, execution_id, owner="worker", seconds=300)
        assert lease
        now = datetime.now(UTC)
        rows = [NodeRow(Step("a", str(i)), NodeStatus.SUCCESS, 1, now, now, output=MIB) for i in range(results)]
        return Progress(execution_id, lease.epoch, Decimal(0), 0, lease.last_seq, 0, nodes=rows)

    return make


def said(written: Queue[Result], execution_id: UUID) -> Callable[[Exception | None], None]:
    return lambda error: written.put((execution_id, error))


def test_results_that_are_large_together_are_written_one_after_the_other(bench, progress, written):
    """PostgreSQL takes no more than 256 MiB of JSON in one statement; a batch that never fits would hold up all."""
    journal = Journal()
    writes = [progress(20) for _ in range(3)]
    assert 20 * len(MIB) < LARGEST_BATCH < 2 * 20 * len(MIB)
    with journal._changed:  # they all wait while another commit is on its way
        for write in writes:
            journal.write(write, said(written, write.execution_id))
    results = dict(written.get(timeout=60) for _ in writes)
    journal.stop()
    assert results == {write.execution_id: None for write in writes}
    assert bench.sql("SELECT count(DISTINCT xmin::text) FROM node_executions") == 3


def test_small_results_are_written_together(bench, progress, written):
    journal = Journal()
    writes = [progress(1) for _ in range(3)]
    with journal._changed:
        for write in writes:
            journal.write(write, said(written, write.execution_id))
    results = dict(written.get(timeout=60) for _ in writes)
    journal.stop()
    assert results == {write.execution_id: None for write in writes}
    assert bench.sql("SELECT count(DISTINCT xmin::text) FROM node_executions") == 1


def test_an_answer_given_meanwhile_survives_a_batch_that_is_written_once_more(bench, written):
    """After a cut connection nobody knows whether the commit arrived, and people answer what they see."""
    execution_id = bench.submit([ask()])
    with session_scope() as session:
        lease = leases.claim(session, execution_id, owner="worker", seconds=300)
    wait = {"type": "approval", "message": "Send it?", "until": None}
    row = NodeRow(Step("q"), NodeStatus.WAITING, 1, datetime.now(UTC), external_ref=wait)
    again = Progress(execution_id, lease.epoch, Decimal(0), 0, lease.last_seq, 0, nodes=[row])
    journal = Journal()
    journal.write(again, said(written, execution_id))
    written.get(timeout=60)
    answer(bench, execution_id)
    journal.write(again, said(written, execution_id))
    assert written.get(timeout=60) == (execution_id, None)
    assert bench.nodes(execution_id)["q"].external_ref["answer"]["approved"] is True
    other = replace(row, external_ref=wait | {"message": "And this?"})
    journal.write(replace(again, nodes=[other]), said(written, execution_id))
    written.get(timeout=60)
    journal.stop()
    assert "answer" not in bench.nodes(execution_id)["q"].external_ref, "the answer to another question"


def test_a_standby_in_place_of_the_database_is_waited_out(bench: Bench, committed_database: str):
    """After a failover, connections lead for a while to what was the primary and takes no writes."""
    bench.world.on("a", bench.world.hang)
    execution_id = bench.submit([call("a"), call("b")], "a>b")
    left = bench.in_background(execution_id)
    assert bench.world.arrived.wait(10)
    become(committed_database, "on")
    bench.world.release.set()
    time.sleep(0.5)
    become(committed_database, "off")
    assert left() is Left.ENDED
    run = bench.execution(execution_id)
    assert (run.status, run.credits_charged) == ("success", Decimal("1.20"))


def become(database: str, read_only: str) -> None:
    """Let new connections be read-only or not, and end those that there are."""
    with closing(psycopg2.connect(database, options="-c default_transaction_read_only=off")) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        name = connection.info.dbname
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {read_only}")
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
