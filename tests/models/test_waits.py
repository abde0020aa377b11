"""Every run that is not over says what it waits for, in a word and in a sentence."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.execution import Execution, ExecutionEvent
from models.rules.pricing import PLANS, Tier
from models.rules.states import ExecutionStatus, NodeStatus
from models.services import presence
from models.services.presence import Me
from models.services.waits import MOST_LISTED, Standing, standing
from models.user import User
from models.workflow import Workflow
from tests import factories

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
    presence.report(session, Me("one@host", "host:1", [QUEUE], 15), silent=0, full=False)


def run(session: Session, workflow: Workflow, age: float = 0, **columns: Any) -> Execution:
    """A run that was submitted so many seconds ago."""
    return factories.execution(session, workflow, created_at=NOW - timedelta(seconds=age), **columns)


def driven(session: Session, workflow: Workflow, **columns: Any) -> Execution:
    lease = {"lease_owner": "host:1", "lease_expires_at": NOW + timedelta(days=1)}  # the tests before may take long
    return run(session, workflow, **{"status": ExecutionStatus.RUNNING} | lease | columns)


def told(found: Standing) -> tuple[str, str]:
    assert found.waiting_for is not None
    return found.waiting_for["type"], found.waiting_for["message"]


@pytest.mark.usefixtures("worker")
class TestQueued:
    def test_tells_its_place_among_those_of_its_queue(self, session, workflow):
        run(session, factories.workflow(session, factories.user(session, tier=Tier.ENTERPRISE)), age=9)
        first, second = run(session, workflow, age=5), run(session, workflow, age=3)
        assert standing(session, first).queue_position == 1
        found = standing(session, second)
        assert told(found) == ("queue", "Number 2 in the queue of priority low.")
        assert found.queue_position == 2

    def test_those_that_wait_for_their_owners_turn_are_not_before_it(self, session, workflow):
        run(session, workflow, age=9, deferred_at=NOW)
        assert standing(session, run(session, workflow)).queue_position == 1

    def test_behind_other_runs_of_its_owner(self, session, workflow):
        for _ in range(PLANS[Tier.FREE].concurrent_runs):
            driven(session, workflow)
        run(session, workflow, age=9, deferred_at=NOW)
        found = standing(session, run(session, workflow, age=1, deferred_at=NOW))
        sentence = "3 of your own runs are under way, and 1 more comes before this one."
        assert told(found) == ("turn", sentence)
        assert found.queue_position is None
        assert told(standing(session, run(session, workflow))) == (
            "turn",
            sentence.replace("1 more comes", "2 more come"),
        )

    def test_when_nobody_takes_jobs_it_says_since_when(self, session, workflow):
        session.execute(text("UPDATE workers SET heard_at = '2026-01-02 03:04:05Z'"))
        session.execute(text("UPDATE workers SET seen_at = now() - interval '2 minutes'"))
        kind, sentence = told(standing(session, run(session, workflow)))
        assert kind == "workers"
        assert sentence == "No worker has taken jobs from the queue of priority low since 03:04:05 UTC."
        session.execute(text("DELETE FROM workers"))
        sentence = "No worker has taken jobs from the queue of priority low."
        assert told(standing(session, run(session, workflow))) == ("workers", sentence)


class TestRunning:
    def test_names_the_attempts_that_are_under_way_whom_they_ask_and_since_when(self, session, workflow):
        execution = driven(session, workflow)
        begun = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        factories.ran(session, execution, "ask", status=NodeStatus.RUNNING, attempt=2, started_at=begun)
        later = begun + timedelta(seconds=1)
        factories.ran(session, execution, "call", status=NodeStatus.RUNNING, attempt=1, started_at=later)
        found = standing(session, execution)
        sentence = "Ask: attempt 2 of 3 asks openclaw since 03:04:05 UTC. 1 more node is under way."
        assert told(found) == ("nodes", sentence)
        one, two = found.waiting_for["nodes"]
        facts = {"nodeId": "ask", "label": "Ask", "path": "", "attempt": 2, "maxAttempts": 3, "calls": "openclaw"}
        assert one == {**facts, "since": begun, "nextAttemptAt": None}
        assert (two["calls"], two["maxAttempts"]) == ("http", 5)

    def test_tells_when_the_next_attempt_comes(self, session, workflow):
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
        assert told(standing(session, execution)) == ("nodes", "Call: attempt 2 of 5 comes at 03:04:15 UTC.")
        session.execute(text("UPDATE node_executions SET attempt = 2"))
        assert "attempt 2 of 5 calls its HTTP API" in told(standing(session, execution))[1]

    def test_tells_of_a_short_wait_that_its_driver_sits_out(self, session, workflow):
        execution = driven(session, workflow)
        pause = {"type": "timer", "message": "Waits until noon."}
        factories.ran(session, execution, "ask", status=NodeStatus.WAITING, attempt=1, external_ref=pause)
        assert told(standing(session, execution)) == ("nodes", "Ask: Waits until noon.")
        execution.status = ExecutionStatus.CANCELLING
        session.flush()
        assert told(standing(session, execution)) == ("cancel", "Stops.")

    def test_with_nothing_under_way_it_tells_how_far_it_is(self, session, workflow):
        execution = driven(session, workflow, nodes_executed=1)
        assert told(standing(session, execution)) == ("nodes", "1 of 2 nodes are done; nothing is waited for.")

    def test_whose_worker_vanished_is_taken_over(self, session, workflow):
        for status in (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLING):
            over = driven(session, workflow, status=status, lease_expires_at=NOW - timedelta(seconds=1))
            kind, sentence = told(standing(session, over))
            assert (kind, "another one takes over" in sentence) == ("takeover", True)

    def test_that_was_asked_to_stop_tells_how_many_calls_are_being_ended(self, session, workflow):
        execution = driven(session, workflow, status=ExecutionStatus.CANCELLING)
        factories.ran(session, execution, "call", status=NodeStatus.RUNNING, started_at=NOW)
        assert told(standing(session, execution)) == ("cancel", "Stops; 1 call is being ended.")


class TestWaiting:
    def test_tells_what_its_driver_left_behind(self, session, workflow):
        asked = {"type": "approval", "message": "Send it?", "until": None}
        execution = run(session, workflow, status=ExecutionStatus.WAITING, waiting_for=asked)
        assert standing(session, execution).waiting_for == asked

    def test_whose_time_has_come_waits_for_a_worker(self, session, workflow):
        timer = {"type": "timer", "message": "Waits until then.", "nodeId": "w"}
        past = NOW - timedelta(seconds=1)
        execution = run(session, workflow, status=ExecutionStatus.WAITING, waiting_for=timer, wake_at=past)
        found = standing(session, execution)
        assert told(found)[0] == "queue"
        assert found.waiting_for["nodeId"] == "w"

    def test_whose_time_has_come_may_wait_for_its_turn(self, session, workflow):
        past = {"wake_at": NOW - timedelta(seconds=1), "deferred_at": NOW}
        timer = {"type": "timer", "message": "Waits until then.", "nodeId": "w"}
        execution = run(session, workflow, status=ExecutionStatus.WAITING, waiting_for=timer, **past)
        sentence = "As many of your runs as your tier allows are under way."
        assert told(standing(session, execution)) == ("turn", sentence)


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

    def test_tells_what_those_below_wait_for_first_a_person(self, session, parent):
        queued = self.child(session, parent, age=9)
        timer = {"type": "timer", "message": "Waits until then."}
        over = self.child(session, parent, timer, age=8, wake_at=NOW - timedelta(seconds=1))
        middle = self.child(session, parent, self.waits_for_a_run(), age=7)
        asked = {"type": "approval", "message": "Send it?", "nodeId": "q", "path": ""}
        last = self.child(session, middle, asked)
        last.workflow_name = "Last"
        session.flush()
        self.child(session, parent, status=ExecutionStatus.FAILED)
        found = standing(session, parent)
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

    def test_that_waits_for_a_person_too_tells_of_them_besides(self, session, parent):
        asked = {"type": "approval", "message": "Go on?", "types": ["approval", "subworkflow"]}
        parent.waiting_for = asked
        self.child(session, parent, {"type": "budget", "message": "Used up."})
        found = standing(session, parent)
        assert told(found) == ("approval", "Go on?")
        assert [one["waitingFor"]["type"] for one in found.waiting_for["runs"]] == ["budget"]

    def test_lists_some_and_counts_the_others(self, session, parent):
        for _ in range(MOST_LISTED + 2):
            self.child(session, parent, {"type": "approval", "message": "?"})
        found = standing(session, parent).waiting_for
        assert (len(found["runs"]), found["more"]) == (MOST_LISTED, 2)

    def test_between_two_attempts_tells_of_none(self, session, parent):
        found = standing(session, parent)
        assert (told(found)[1], found.waiting_for["runs"]) == ("Waits for A.", [])

    def test_their_reasons_are_a_change_for_those_who_watch(self, session, parent):
        child = self.child(session, parent)
        before = standing(session, parent)
        assert standing(session, parent) == before
        child.status, child.waiting_for = ExecutionStatus.WAITING, {"type": "approval", "message": "Send it?"}
        session.flush()
        assert standing(session, parent) != before


def test_a_run_that_is_over_waits_for_nothing(session, workflow):
    for status in (ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED):
        assert standing(session, run(session, workflow, status=status)) == Standing()


def test_a_change_of_place_is_a_change_for_those_who_watch(session, workflow, worker):
    first = run(session, workflow, age=5)
    second = run(session, workflow)
    before = standing(session, second)
    session.execute(text("UPDATE workflow_executions SET deferred_at = now() WHERE id = :id"), {"id": first.id})
    assert standing(session, second) != before
    running = driven(session, workflow)
    before = standing(session, running)
    running.lease_expires_at = NOW - timedelta(seconds=1)
    assert standing(session, running) != before
