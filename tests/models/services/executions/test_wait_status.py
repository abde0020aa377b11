"""Every run that is not over says what it waits for, in a word and in a sentence."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.prices.pricing import PLANS, Tier
from models.services.executions.wait_status import MAX_LISTED, WaitStatus, wait_status
from models.services.operations import worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo
from models.tables import Execution, ExecutionEvent, User, Workflow
from tests.support import factories

NOW = datetime.now(UTC)
QUEUE = "executions.low"
ASK = factories.node("ask", "ai_agent", config={"prompt": "?"})
CALL = factories.node("call", "api_call", config={"url": "http://x/", "retries": 4})


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session)


@pytest.fixture
def workflow(session: Session, owner: User) -> Workflow:
    return factories.workflow(session, owner, graph=factories.chain(ASK, CALL))


@pytest.fixture
def worker(session: Session) -> None:
    """Somebody takes jobs of the free tier."""
    worker_heartbeats.report(session, WorkerInfo("one@host", "host:1", [QUEUE], 15), silent=0, full=False)


def run(session: Session, workflow: Workflow, age: float = 0, **columns: Any) -> Execution:
    """A run that was submitted so many seconds ago."""
    return factories.execution(session, workflow, created_at=NOW - timedelta(seconds=age), **columns)


def driven(session: Session, workflow: Workflow, **columns: Any) -> Execution:
    lease = {"lease_owner": "host:1", "lease_expires_at": NOW + timedelta(days=1)}  # the tests before may take long
    return run(session, workflow, **{"status": ExecutionStatus.RUNNING} | lease | columns)


def told(found: WaitStatus) -> tuple[str, str]:
    assert found.waiting_for is not None
    return found.waiting_for["type"], found.waiting_for["message"]


@pytest.mark.usefixtures("worker")
class TestQueued:
    def test_shows_its_position_in_its_queue(self, session, workflow):
        run(session, factories.workflow(session, factories.user(session, tier=Tier.ENTERPRISE)), age=9)
        first, second = run(session, workflow, age=5), run(session, workflow, age=3)
        assert wait_status(session, first).queue_position == 1
        found = wait_status(session, second)
        assert told(found) == ("queue", "Number 2 in the queue of priority low.")
        assert found.queue_position == 2

    def test_those_that_wait_for_their_owners_turn_are_not_before_it(self, session, workflow):
        run(session, workflow, age=9, deferred_at=NOW)
        assert wait_status(session, run(session, workflow)).queue_position == 1

    def test_behind_other_runs_of_its_owner(self, session, workflow):
        for _ in range(PLANS[Tier.FREE].concurrent_runs):
            driven(session, workflow)
        run(session, workflow, age=9, deferred_at=NOW)
        found = wait_status(session, run(session, workflow, age=1, deferred_at=NOW))
        sentence = "3 of your own runs are under way, and 1 more comes before this one."
        assert told(found) == ("concurrency_limit", sentence)
        assert found.queue_position is None
        assert told(wait_status(session, run(session, workflow))) == (
            "concurrency_limit",
            sentence.replace("1 more comes", "2 more come"),
        )

    def test_without_a_worker_it_says_since_when(self, session, workflow):
        session.execute(text("UPDATE workers SET last_message_at = '2026-01-02 03:04:05Z'"))
        session.execute(text("UPDATE workers SET seen_at = now() - interval '2 minutes'"))
        kind, sentence = told(wait_status(session, run(session, workflow)))
        assert kind == "workers"
        assert sentence == "No worker has taken jobs from the queue of priority low since 03:04:05 UTC."
        session.execute(text("DELETE FROM workers"))
        sentence = "No worker has taken jobs from the queue of priority low."
        assert told(wait_status(session, run(session, workflow))) == ("workers", sentence)


class TestRunning:
    def test_names_the_attempts_in_progress_their_provider_and_their_start(self, session, workflow):
        execution = driven(session, workflow)
        begun = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        factories.ran(session, execution, "ask", status=NodeStatus.RUNNING, attempt=2, started_at=begun)
        later = begun + timedelta(seconds=1)
        factories.ran(session, execution, "call", status=NodeStatus.RUNNING, attempt=1, started_at=later)
        found = wait_status(session, execution)
        sentence = "Ask: attempt 2 of 3 asks openclaw since 03:04:05 UTC. 1 more node is under way."
        assert told(found) == ("nodes", sentence)
        one, two = found.waiting_for["nodes"]
        facts = {"nodeId": "ask", "label": "Ask", "path": "", "attempt": 2, "maxAttempts": 3, "calls": "openclaw"}
        assert one == {**facts, "since": begun, "nextAttemptAt": None, "queue": None}
        assert (two["calls"], two["maxAttempts"]) == ("http", 5)

    def test_shows_the_time_of_the_next_attempt(self, session, workflow):
        execution = driven(session, workflow)
        factories.ran(session, execution, "call", status=NodeStatus.RUNNING, attempt=1, started_at=NOW)
        failed = ExecutionEvent(
            execution_id=execution.id,
            seq=2,
            at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            type="node.retrying",
            message="Failed.",
            node_id="call",
            data={"attempt": 1, "delay": 10},
        )
        session.add(failed)
        execution.last_seq = 2
        session.flush()
        assert told(wait_status(session, execution)) == ("nodes", "Call: attempt 2 of 5 comes at 03:04:15 UTC.")
        session.execute(text("UPDATE node_executions SET attempt = 2"))
        assert "attempt 2 of 5 calls its HTTP API" in told(wait_status(session, execution))[1]

    def test_shows_a_short_wait_of_its_driver(self, session, workflow):
        execution = driven(session, workflow)
        pause = {"type": "timer", "message": "Waits until noon."}
        factories.ran(session, execution, "ask", status=NodeStatus.WAITING, attempt=1, external_ref=pause)
        assert told(wait_status(session, execution)) == ("nodes", "Ask: Waits until noon.")
        execution.status = ExecutionStatus.CANCELLING
        session.flush()
        assert told(wait_status(session, execution)) == ("cancel", "Stops.")

    def test_with_nothing_in_progress_it_shows_how_far_it_is(self, session, workflow):
        execution = driven(session, workflow, nodes_executed=1)
        assert told(wait_status(session, execution)) == ("nodes", "1 of 2 nodes are done; none is under way.")

    def test_whose_worker_vanished_is_taken_over(self, session, workflow):
        for status in (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLING):
            over = driven(session, workflow, status=status, lease_expires_at=NOW - timedelta(seconds=1))
            kind, sentence = told(wait_status(session, over))
            assert (kind, "another one takes over" in sentence) == ("takeover", True)

    def test_that_is_cancelling_shows_the_number_of_calls_being_ended(self, session, workflow):
        execution = driven(session, workflow, status=ExecutionStatus.CANCELLING)
        factories.ran(session, execution, "call", status=NodeStatus.RUNNING, started_at=NOW)
        assert told(wait_status(session, execution)) == ("cancel", "Stops; 1 call is being ended.")


class TestWaiting:
    def test_shows_the_reason_that_its_driver_stored(self, session, workflow):
        asked = {"type": "approval", "message": "Send it?", "until": None}
        execution = run(session, workflow, status=ExecutionStatus.WAITING, waiting_for=asked)
        assert wait_status(session, execution).waiting_for == asked

    def test_whose_time_has_come_waits_for_a_worker(self, session, workflow):
        timer = {"type": "timer", "message": "Waits until then.", "nodeId": "w"}
        past = NOW - timedelta(seconds=1)
        execution = run(session, workflow, status=ExecutionStatus.WAITING, waiting_for=timer, wake_at=past)
        found = wait_status(session, execution)
        assert told(found)[0] == "queue"
        assert found.waiting_for["nodeId"] == "w"

    def test_that_is_due_may_wait_for_a_concurrency_slot(self, session, workflow):
        past = {"wake_at": NOW - timedelta(seconds=1), "deferred_at": NOW}
        timer = {"type": "timer", "message": "Waits until then.", "nodeId": "w"}
        execution = run(session, workflow, status=ExecutionStatus.WAITING, waiting_for=timer, **past)
        sentence = "As many of your runs as your tier allows are under way."
        assert told(wait_status(session, execution)) == ("concurrency_limit", sentence)


class TestAParent:
    attempts = itertools.count(1)

    @pytest.fixture
    def parent(self, session, workflow) -> Execution:
        return run(session, workflow, status=ExecutionStatus.WAITING, waiting_for=self.waits_for_a_run())

    def waits_for_a_run(self) -> dict[str, Any]:
        return {"type": "subworkflow", "message": "Waits for A.", "childExecutionId": "1", "types": ["subworkflow"]}

    def child(self, session: Session, of: Execution, reason: Any = None, **columns: Any) -> Execution:
        step = {"parent_node_id": "s", "parent_path": "", "parent_attempt": next(self.attempts)}
        workflow = session.get_one(Workflow, of.workflow_id)
        waits = {"status": ExecutionStatus.WAITING, "waiting_for": reason} if reason else {}
        return run(session, workflow, parent_execution_id=of.id, depth=of.depth + 1, **step | waits | columns)

    def test_shows_what_its_child_runs_wait_for_first_a_person(self, session, parent):
        queued = self.child(session, parent, age=9)
        timer = {"type": "timer", "message": "Waits until then."}
        over = self.child(session, parent, timer, age=8, wake_at=NOW - timedelta(seconds=1))
        middle = self.child(session, parent, self.waits_for_a_run(), age=7)
        asked = {"type": "approval", "message": "Send it?", "nodeId": "q", "path": ""}
        last = self.child(session, middle, asked)
        last.workflow_name = "Last"
        session.flush()
        self.child(session, parent, status=ExecutionStatus.FAILED)
        found = wait_status(session, parent)
        assert told(found) == ("subworkflow", "Waits for A. Last: Send it?")
        assert found.waiting_for["childExecutionId"] == "1"
        runs = found.waiting_for["runs"]
        assert runs[0] == {
            "executionId": str(last.id),
            "workflowName": "Last",
            "status": "waiting",
            "waitingFor": asked,
        }
        rest = [(one["executionId"], one["status"], one["waitingFor"]["type"]) for one in runs[1:]]
        assert rest == [(str(queued.id), "queued", "queue"), (str(over.id), "waiting", "queue")]

    def test_that_waits_for_a_person_too_lists_its_child_runs_besides(self, session, parent):
        asked = {"type": "approval", "message": "Go on?", "types": ["approval", "subworkflow"]}
        parent.waiting_for = asked
        self.child(session, parent, {"type": "budget", "message": "Used up."})
        found = wait_status(session, parent)
        assert told(found) == ("approval", "Go on?")
        assert [one["waitingFor"]["type"] for one in found.waiting_for["runs"]] == ["budget"]

    def test_lists_some_and_counts_the_others(self, session, parent):
        for _ in range(MAX_LISTED + 2):
            self.child(session, parent, {"type": "approval", "message": "?"})
        found = wait_status(session, parent).waiting_for
        assert (len(found["runs"]), found["more"]) == (MAX_LISTED, 2)

    def test_between_two_attempts_lists_none(self, session, parent):
        found = wait_status(session, parent)
        assert (told(found)[1], found.waiting_for["runs"]) == ("Waits for A.", [])

    def test_their_reasons_are_a_change_for_those_who_watch(self, session, parent):
        child = self.child(session, parent)
        before = wait_status(session, parent)
        assert wait_status(session, parent) == before
        factories.reach(session, child, ExecutionStatus.WAITING)
        child.waiting_for = {"type": "approval", "message": "Send it?"}
        session.flush()
        assert wait_status(session, parent) != before


def test_a_run_that_is_over_waits_for_nothing(session, workflow):
    for status in (ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED):
        assert wait_status(session, run(session, workflow, status=status)) == WaitStatus()


def test_a_change_of_position_is_a_change_for_watchers(session, workflow, worker):
    first = run(session, workflow, age=5)
    second = run(session, workflow)
    before = wait_status(session, second)
    session.execute(text("UPDATE workflow_executions SET deferred_at = now() WHERE id = :id"), {"id": first.id})
    assert wait_status(session, second) != before
    running = driven(session, workflow)
    before = wait_status(session, running)
    running.lease_expires_at = NOW - timedelta(seconds=1)
    assert wait_status(session, running) != before
