"""Unresponsive workers, queues without workers and a stopped beat are distinguished."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.prices.pricing import Provider
from models.services.operations import backlog, worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo, WorkerStatus
from tests.support import factories

ADA = WorkerInfo("executions1@ada", "ada:1", ["executions.high", "executions.low"], 15)
BOB = WorkerInfo("executions2@bob", "bob:7", ["executions.low"], 15)


def report(session: Session, me: WorkerInfo = ADA, *, silent: float = 0, full: bool = False) -> bool:
    return worker_heartbeats.report(session, me, silent=silent, full=full)


def status(session: Session, me: WorkerInfo = ADA) -> WorkerStatus:
    return next(worker.status for worker in worker_heartbeats.overview(session, []).workers if worker.name == me.name)


def queue(session: Session, name: str = "executions.low") -> worker_heartbeats.QueueState:
    return worker_heartbeats.overview(session, [name]).queues[0]


def later(session: Session, seconds: float) -> None:
    """Let time pass, as the rows see it."""
    for table, columns in (("workers", ("started_at", "seen_at", "last_message_at")), ("queue_probes", ("ran_at",))):
        changes = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
        session.execute(text(f"UPDATE {table} SET {changes}"), {"seconds": seconds})  # names of ours


class TestCalls:
    def test_of_all_workers_are_added_up_by_provider(self, session):
        worker_heartbeats.report(
            session, ADA, silent=0, full=False, calls={Provider.OPENAI: {"allowed": 8, "queued": 3}}
        )
        worker_heartbeats.report(
            session,
            BOB,
            silent=0,
            full=False,
            calls={Provider.OPENAI: {"allowed": 4}, Provider.OPENCLAW: {"allowed": 6}},
        )
        openai = {("openai", "allowed"): 12, ("openai", "queued"): 3}
        assert worker_heartbeats.calls(session) == openai | {("openclaw", "allowed"): 6}

    def test_of_workers_that_are_gone_do_not_count(self, session):
        worker_heartbeats.report(session, ADA, silent=0, full=False, calls={Provider.OPENAI: {"allowed": 8}})
        later(session, 61)
        assert worker_heartbeats.calls(session) == {}


class TestWorkers:
    def test_one_that_receives_messages_is_up(self, session):
        report(session)
        assert status(session) is WorkerStatus.UP

    def test_one_that_is_alive_but_receives_nothing_is_unresponsive(self, session):
        report(session, silent=44)
        assert status(session) is WorkerStatus.UP
        report(session, silent=46)
        assert status(session) is WorkerStatus.UNRESPONSIVE

    def test_one_whose_threads_are_all_at_work_is_not_called_unresponsive(self, session):
        report(session, silent=500, full=True)
        assert status(session) is WorkerStatus.FULL

    def test_a_silent_worker_is_gone_and_is_removed_after_an_hour(self, session):
        report(session)
        later(session, 61)
        assert status(session) is WorkerStatus.GONE
        later(session, 3600)
        assert worker_heartbeats.overview(session, []).workers == []

    def test_one_that_stops_in_good_order_takes_its_row_along(self, session):
        report(session)
        worker_heartbeats.leave(session, WorkerInfo(ADA.name, "ada:2", [], 15))  # its successor is not to be thrown out
        assert status(session) is WorkerStatus.UP
        worker_heartbeats.leave(session, ADA)
        assert worker_heartbeats.overview(session, []).workers == []

    def test_a_new_process_under_the_old_name_starts_anew(self, session):
        report(session)
        later(session, 30)
        report(session)
        before = worker_heartbeats.overview(session, []).workers[0]
        report(session, WorkerInfo(ADA.name, "ada:2", ADA.queues, 15))
        after = worker_heartbeats.overview(session, []).workers[0]
        assert before.started_at < before.seen_at
        assert after.started_at == after.seen_at

    def test_it_learns_whether_others_receive_messages(self, session):
        assert not report(session, silent=40)
        assert not report(session, BOB, silent=31)
        assert not report(session, silent=40)
        assert not report(session, BOB)
        assert report(session, silent=40)

    def test_what_each_drives_is_counted_from_leases(self, session):
        run = factories.execution(session)
        session.execute(
            text(
                "UPDATE workflow_executions SET status = 'running', lease_owner = 'ada:1', lease_expires_at = now()"
                " WHERE id = :id"
            ),
            {"id": run.id},
        )
        assert worker_heartbeats.driven(session) == {"ada:1": 1}


class TestQueues:
    def test_a_queue_without_workers_is_down(self, session):
        assert queue(session).status == "down"

    def test_one_unresponsive_worker_of_two_leaves_the_queue_up(self, session):
        report(session, silent=50)
        report(session, BOB)
        found = queue(session)
        assert (found.status, found.workers, found.unresponsive) == ("up", 1, 1)
        assert queue(session, "executions.high").status == "down"

    def test_a_queue_with_a_worker_is_late_when_no_probe_came_through(self, session):
        worker_heartbeats.record_probe(session, "executions.low", "ada:1")
        later(session, 121)
        report(session)
        assert queue(session).status == "late"
        worker_heartbeats.record_probe(session, "executions.low", "ada:1")
        assert queue(session).status == "up"

    def test_beat_is_down_when_no_probe_ran_anywhere(self, session):
        assert not worker_heartbeats.overview(session, []).beat_is_up
        worker_heartbeats.record_probe(session, "billing", "ada:1")
        assert worker_heartbeats.overview(session, []).beat_is_up
        later(session, 121)
        assert not worker_heartbeats.overview(session, []).beat_is_up


class TestBacklog:
    def test_depth_and_age_come_from_rows_and_deferred_runs_add_no_age(self, session):
        old, young = factories.execution(session), factories.execution(session)
        change = (
            "UPDATE workflow_executions SET created_at = now() - interval '1 hour', deferred_at = now() WHERE id = :id"
        )
        session.execute(text(change), {"id": old.id})
        found = backlog.by_queue(session)["executions.low"]
        assert (found.rows, found.deferred) == (2, 1)
        assert found.oldest == young.created_at
        assert backlog.by_queue(session)["billing"].rows == 0
