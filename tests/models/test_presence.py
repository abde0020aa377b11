"""A worker that is deaf, a queue that nobody takes from and a beat that stands still are told apart."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.services import backlog, presence
from models.services.presence import Hearing, Me
from tests import factories

ADA = Me("executions1@ada", "ada:1", ["executions.high", "executions.low"], 15)
BOB = Me("executions2@bob", "bob:7", ["executions.low"], 15)


def report(session: Session, me: Me = ADA, *, silent: float = 0, full: bool = False) -> bool:
    return presence.report(session, me, silent=silent, full=full)


def status(session: Session, me: Me = ADA) -> Hearing:
    return next(worker.status for worker in presence.overview(session, []).workers if worker.name == me.name)


def queue(session: Session, name: str = "executions.low") -> presence.QueueState:
    return presence.overview(session, [name]).queues[0]


def later(session: Session, seconds: float) -> None:
    """Let time pass, as the rows see it."""
    for table, columns in (("workers", ("started_at", "seen_at", "heard_at")), ("canaries", ("ran_at",))):
        changes = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
        session.execute(text(f"UPDATE {table} SET {changes}"), {"seconds": seconds})  # names of ours


class TestCalls:
    def test_of_all_workers_are_added_up_by_provider(self, session):
        presence.report(session, ADA, silent=0, full=False, calls={"openai": {"allowed": 8, "in_line": 3}})
        presence.report(
            session, BOB, silent=0, full=False, calls={"openai": {"allowed": 4}, "openclaw": {"allowed": 6}}
        )
        openai = {("openai", "allowed"): 12, ("openai", "in_line"): 3}
        assert presence.calls(session) == openai | {("openclaw", "allowed"): 6}

    def test_of_workers_that_are_gone_do_not_count(self, session):
        presence.report(session, ADA, silent=0, full=False, calls={"openai": {"allowed": 8}})
        later(session, 61)
        assert presence.calls(session) == {}


class TestWorkers:
    def test_one_that_hears_is_up(self, session):
        report(session)
        assert status(session) is Hearing.UP

    def test_one_that_is_alive_and_hears_nothing_is_deaf(self, session):
        report(session, silent=44)
        assert status(session) is Hearing.UP
        report(session, silent=46)
        assert status(session) is Hearing.DEAF

    def test_one_whose_threads_are_all_at_work_is_not_called_deaf(self, session):
        report(session, silent=500, full=True)
        assert status(session) is Hearing.FULL

    def test_one_that_says_nothing_any_more_is_gone_and_forgotten_after_an_hour(self, session):
        report(session)
        later(session, 61)
        assert status(session) is Hearing.GONE
        later(session, 3600)
        assert presence.overview(session, []).workers == []

    def test_one_that_stops_in_good_order_takes_its_row_along(self, session):
        report(session)
        presence.leave(session, Me(ADA.name, "ada:2", [], 15))  # its successor is not to be thrown out
        assert status(session) is Hearing.UP
        presence.leave(session, ADA)
        assert presence.overview(session, []).workers == []

    def test_a_new_process_under_the_old_name_starts_anew(self, session):
        report(session)
        later(session, 30)
        report(session)
        before = presence.overview(session, []).workers[0]
        report(session, Me(ADA.name, "ada:2", ADA.queues, 15))
        after = presence.overview(session, []).workers[0]
        assert before.started_at < before.seen_at
        assert after.started_at == after.seen_at

    def test_it_learns_whether_others_hear_the_broker(self, session):
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
        assert presence.driven(session) == {"ada:1": 1}


class TestQueues:
    def test_a_queue_without_workers_is_down(self, session):
        assert queue(session).status == "down"

    def test_one_deaf_worker_beside_one_that_hears_leaves_the_queue_up_and_is_counted(self, session):
        report(session, silent=50)
        report(session, BOB)
        found = queue(session)
        assert (found.status, found.workers, found.deaf) == ("up", 1, 1)
        assert queue(session, "executions.high").status == "down"

    def test_a_queue_is_late_when_no_canary_came_through_although_somebody_hears(self, session):
        presence.sing(session, "executions.low", "ada:1")
        later(session, 121)
        report(session)
        assert queue(session).status == "late"
        presence.sing(session, "executions.low", "ada:1")
        assert queue(session).status == "up"

    def test_beat_is_down_when_no_canary_sang_anywhere(self, session):
        assert not presence.overview(session, []).beat_is_up
        presence.sing(session, "billing", "ada:1")
        assert presence.overview(session, []).beat_is_up
        later(session, 121)
        assert not presence.overview(session, []).beat_is_up


class TestBacklog:
    def test_depth_and_age_are_counted_from_rows_and_the_deferred_make_no_queue_old(self, session):
        old, young = factories.execution(session), factories.execution(session)
        change = (
            "UPDATE workflow_executions SET created_at = now() - interval '1 hour', deferred_at = now() WHERE id = :id"
        )
        session.execute(text(change), {"id": old.id})
        found = backlog.by_queue(session)["executions.low"]
        assert (found.rows, found.deferred) == (2, 1)
        assert found.oldest == young.created_at
        assert backlog.by_queue(session)["billing"].rows == 0
