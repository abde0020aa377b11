"""The one writer of a process: writes are grouped, within the database's limits."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from queue import Queue
from types import SimpleNamespace
from uuid import UUID

import orjson
import psycopg2
import pytest
from sqlalchemy.exc import OperationalError

from models.db import session_scope
from models.errors import LeaseLost
from models.rules.executions.schedule import Step
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.services.orchestration import journal as services
from models.services.orchestration import leases
from models.services.orchestration.journal import Ending, NodeRow, Progress
from tests.support.database.statements import recorded_statements
from tests.support.engine.bench import Bench, call, transform
from tests.support.faults.programs import eventually
from tests.workers.engine.driver.test_paused_steps import answer, ask
from workers.engine.driver.outcomes import DriveResult
from workers.engine.journal import writer
from workers.engine.journal.writer import MAX_BATCH, JournalWriter

MIB = orjson.dumps("x" * 1_000_000)
Result = tuple[UUID, Exception | None]


@pytest.fixture
def written() -> Queue[Result]:
    """The outcome of each write."""
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
    journal = JournalWriter()
    writes = [progress(5) for _ in range(3)]
    assert 5 * len(MIB) < MAX_BATCH < 2 * 5 * len(MIB)
    with journal._changed:  # they all wait while another commit is on its way
        for write in writes:
            journal.write(write, said(written, write.execution_id))
    results = dict(written.get(timeout=60) for _ in writes)
    journal.stop()
    assert results == {write.execution_id: None for write in writes}
    assert bench.sql("SELECT count(DISTINCT xmin::text) FROM node_executions") == 3


def test_small_results_are_written_together(bench, progress, written):
    journal = JournalWriter()
    writes = [progress(1) for _ in range(3)]
    with journal._changed:
        for write in writes:
            journal.write(write, said(written, write.execution_id))
    results = dict(written.get(timeout=60) for _ in writes)
    journal.stop()
    assert results == {write.execution_id: None for write in writes}
    assert bench.sql("SELECT count(DISTINCT xmin::text) FROM node_executions") == 1


def test_it_is_free_for_a_run_while_nothing_waits_and_no_other_run_writes(progress, written):
    """Such a run may send calls beside a write; on a busy worker they leave together, after a common one."""
    journal = JournalWriter()
    mine, other = progress(1), progress(1)
    assert journal.is_free_for(mine.execution_id)
    with journal._changed:
        journal.write(mine, said(written, mine.execution_id))
        assert not journal.is_free_for(mine.execution_id)
    written.get(timeout=60)
    eventually(lambda: journal.is_free_for(mine.execution_id), 10)
    journal.write(other, said(written, other.execution_id), may_wait=True)
    assert not journal.is_free_for(mine.execution_id)
    eventually(lambda: journal.is_free_for(mine.execution_id), 10)
    assert written.get(timeout=60) == (other.execution_id, None)
    journal.stop()


def test_a_batch_whose_callback_fails_is_repeated_and_all_are_answered(bench, progress, written):
    writes = [progress(1) for _ in range(3)]
    failures = [ValueError("odd")]

    def answer_at_last(error: Exception | None) -> None:
        if failures:
            raise failures.pop()
        written.put((writes[1].execution_id, error))

    journal = JournalWriter()
    with journal._changed:
        for write in writes:
            odd = write is writes[1]
            journal.write(write, answer_at_last if odd else said(written, write.execution_id))
    results = dict(written.get(timeout=60) for _ in writes)
    journal.stop()
    assert results == {write.execution_id: None for write in writes}
    assert bench.sql("SELECT count(*) FROM node_executions") == 3


def test_an_answer_given_meanwhile_survives_a_repeated_batch(bench, written):
    """After a cut connection it is unknown whether the commit arrived, and people answer what they see."""
    execution_id = bench.submit([ask()])
    with session_scope() as session:
        lease = leases.claim(session, execution_id, owner="worker", seconds=300)
    wait = {"type": "approval", "message": "Send it?", "until": None}
    row = NodeRow(Step("q"), NodeStatus.WAITING, 1, datetime.now(UTC), external_ref=wait)
    again = Progress(execution_id, lease.epoch, Decimal(0), 0, lease.last_seq, 0, nodes=[row])
    journal = JournalWriter()
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


def test_writes_are_repeated_while_the_database_is_a_standby(bench: Bench, committed_database: str):
    """After a failover, connections lead for a while to what was the primary and takes no writes."""
    bench.world.on("a", bench.world.hang)
    execution_id = bench.submit([call("a"), call("b")], "a>b")
    left = bench.in_background(execution_id)
    assert bench.world.arrived.wait(10)
    become(committed_database, "on")
    bench.world.release.set()
    time.sleep(0.5)
    become(committed_database, "off")
    assert left() is DriveResult.ENDED
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


def test_a_write_in_the_middle_of_a_run_is_one_message_to_the_database(progress, written):
    """A call that is about to be sent waits for it."""
    write, journal = progress(1), JournalWriter()
    with recorded_statements() as statements:
        journal.write(write, said(written, write.execution_id))
        assert written.get(timeout=60) == (write.execution_id, None)
    journal.stop()
    (message, _), *others = statements
    assert message.lstrip().startswith("WITH held AS")
    assert others == []


def test_a_driver_that_would_only_wait_writes_by_itself(progress, written):
    journal, write = JournalWriter(), progress(1)
    threads: list[str] = []
    journal.write(write, lambda _: threads.append(threading.current_thread().name), may_wait=True)
    assert threads == [threading.current_thread().name]
    with journal._changed:  # the journal's thread, which waits, is busy as far as this write knows
        journal._driver_writes = True
        journal.write(write, said(written, write.execution_id), may_wait=True)
        assert written.empty()
        journal._driver_writes = False
        journal._changed.notify()
    assert written.get(timeout=60) == (write.execution_id, None)
    journal.stop()


def test_what_a_driver_fails_to_write_the_journal_writes(bench, progress, written, monkeypatch):
    journal, write, tries = JournalWriter(), progress(1), []

    def record(batch: Sequence[Progress]) -> set[UUID]:
        tries.append(threading.current_thread().name)
        if len(tries) == 1:
            raise OperationalError("the connection is lost", None, Exception())
        return services.record_alone(batch)

    monkeypatch.setattr(
        writer, "journal", SimpleNamespace(record_alone=record, is_one_statement=services.is_one_statement)
    )
    journal.write(write, said(written, write.execution_id), may_wait=True)
    assert written.get(timeout=60) == (write.execution_id, None)
    journal.stop()
    assert tries == [threading.current_thread().name, "journal"]


def test_an_end_without_a_tree_is_one_message_to_the_database(bench, progress, written):
    write = replace(progress(1), ending=Ending(ExecutionStatus.SUCCESS, b"7"), charged=Decimal("0.5"))
    journal = JournalWriter()
    with recorded_statements() as statements:
        journal.write(write, said(written, write.execution_id), may_wait=True)
    journal.stop()
    assert written.get(timeout=60) == (write.execution_id, None)
    assert len(statements) == 1  # which is a transaction of its own
    run = bench.execution(write.execution_id)
    assert (run.status, run.credits_charged) == ("success", Decimal("0.5"))
    assert bench.sql("SELECT captured FROM credit_holds WHERE execution_id = :id", id=run.id) == Decimal("0.5")


def test_an_end_in_a_batch_is_notified_if_few_credits_are_left(bench, progress, written):
    ending, other = replace(progress(1), ending=Ending(ExecutionStatus.SUCCESS, b"7"), charged=Decimal(1)), progress(1)
    bench.sql("UPDATE credits SET held = held + 100000 WHERE user_id = :id", id=bench.user_id)
    journal = JournalWriter()
    with journal._changed:  # they wait while another commit is on its way
        for write in (ending, other):
            journal.write(write, said(written, write.execution_id))
    results = {written.get(timeout=60) for _ in range(2)}
    journal.stop()
    bench.sql("UPDATE credits SET held = held - 100000 WHERE user_id = :id", id=bench.user_id)
    assert results == {(ending.execution_id, None), (other.execution_id, None)}
    assert bench.execution(ending.execution_id).status == "success"
    assert bench.sql("SELECT json_agg(kind) FROM notifications") == ["low_balance"]


def test_writes_of_one_driver_that_wait_together_are_stored_as_one(bench, progress, written):
    journal, first = JournalWriter(), progress(1)
    (row,) = first.nodes
    second = replace(first, nodes=[replace(row, step=Step("a", "again"))], succeeded=1)
    with recorded_statements() as statements, journal._changed:  # they wait while another commit is on its way
        for write in (first, second):
            journal.write(write, said(written, write.execution_id))
    results = [written.get(timeout=60) for _ in range(2)]
    journal.stop()
    assert results == [(first.execution_id, None)] * 2
    assert bench.sql("SELECT count(*) FROM node_executions WHERE execution_id = :id", id=first.execution_id) == 2
    assert bench.execution(first.execution_id).nodes_executed == 1
    assert len(statements) <= 1


def test_a_write_after_the_ending_of_its_run_does_not_take_that_back(bench, progress, written):
    journal, ending = JournalWriter(), replace(progress(1), ending=Ending(ExecutionStatus.SUCCESS, b"7"))
    late = replace(ending, nodes=[], ending=None)
    with journal._changed:
        for write in (ending, late):
            journal.write(write, said(written, write.execution_id))
    results = [written.get(timeout=60)[1] for _ in range(2)]
    journal.stop()
    assert [type(error) for error in results] == [type(None), LeaseLost]
    assert (bench.execution(ending.execution_id).status, bench.execution(ending.execution_id).output) == ("success", 7)


def test_the_starts_of_calls_that_become_ready_together_are_one_write(bench: Bench):
    bench.sql("UPDATE users SET subscription_tier = 'enterprise'")  # whose calls need not be counted before
    names = [f"m{number}" for number in range(8)]
    for name in names:
        bench.world.on(name, bench.world.hang)
    nodes = [transform("first", "1"), *map(call, names)]
    with recorded_statements() as statements:
        left = bench.in_background(bench.submit(nodes, *[f"first>{name}" for name in names]))
        eventually(lambda: bench.world.calls.total() == len(names))
    bench.world.release.set()
    assert left() is DriveResult.ENDED
    writes = [values["nodes"] for sql, values in statements if "INSERT INTO node_executions" in sql]
    assert sum('"running"' in nodes for nodes in writes) == 1
