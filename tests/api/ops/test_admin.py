"""Administrators' views of billing and queues, and retries of dead letters."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import Provider
from models.services.accounts import accounts
from models.services.operations import alerts, audit, worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo
from models.services.reconciliation import reconciliation
from models.services.reconciliation.reconciliation import Found
from models.services.stripe import stripe_events
from models.tables import Action, Execution, QuarantinedRun, ReconciliationRun, Role, RunKind, User
from tasks.queue import QueueName, TaskName
from tests.support import factories

NOW = datetime.now(UTC)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def administrator(new_user: Callable[..., User], sign_in) -> FlaskClient:
    return sign_in(new_user("grace@example.com", role=Role.ADMIN))


def a_run(session: Session, *found: Found, kind: RunKind = RunKind.OBJECTS, **columns) -> ReconciliationRun:
    run = reconciliation.begin(session, kind, since=NOW - timedelta(days=1), dry_run=columns.pop("dry_run", False))
    for one in found:
        reconciliation.record(session, run.id, one)
    reconciliation.finish(session, run.id, checked=7, error=columns.pop("error", None), reached=None)
    session.commit()
    return run


LOST = Found(
    "payments", "pi_1", "lost_here", Action.REPAIRED, "Changed: status None -> succeeded.", {"status": [None, 1]}
)
BROKEN = Found("ledger", "u1", "history_has_no_gap", Action.REPORTED, "version 3 stands at place 2")


def a_dead_event(session: Session, event_id: str = "evt_1") -> None:
    stripe_events.receive(
        session,
        event_id=event_id,
        type="payment_intent.succeeded",
        api_version=None,
        created=NOW,
        livemode=False,
        raw=b"{}",
    )
    stripe_events.give_up(session, event_id, "orphan: its purchase is not here")
    session.commit()


class TestReconciliations:
    def test_runs_are_listed_with_what_came_of_them_newest_first(self, session, administrator):
        a_run(session, LOST, BROKEN)
        a_run(session, kind=RunKind.EVENTS)
        listed = administrator.get("/admin/reconciliations").json
        assert listed["count"] == 2
        (objects,) = administrator.get("/admin/reconciliations?kind=objects").json["reconciliations"]
        assert {name: objects[name] for name in ("kind", "status", "dryRun", "checked", "repaired", "reported")} == {
            "kind": "objects",
            "status": "done",
            "dryRun": False,
            "checked": 7,
            "repaired": 1,
            "reported": 1,
        }

    def test_pages_go_on_where_the_last_one_ended(self, session, administrator):
        ids = {str(a_run(session).id) for _ in range(3)}
        first = administrator.get("/admin/reconciliations?limit=2").json
        rest = administrator.get(f"/admin/reconciliations?limit=2&cursor={first['nextCursor']}").json
        assert {run["id"] for run in first["reconciliations"] + rest["reconciliations"]} == ids

    def test_a_run_shows_what_it_found(self, session, administrator):
        run = a_run(session, LOST, BROKEN)
        shown = administrator.get(f"/admin/reconciliations/{run.id}").json
        found = {finding["subject"]: finding for finding in shown["findings"]}
        assert {subject: finding["action"] for subject, finding in found.items()} == {
            "pi_1": "repaired",
            "u1": "reported",
        }
        assert found["pi_1"]["changes"] == {"status": [None, 1]}

    def test_a_run_that_is_not_there_is_404(self, administrator):
        assert administrator.get("/admin/reconciliations/00000000-0000-0000-0000-000000000000").status_code == 404

    def test_an_unknown_kind_is_refused(self, administrator):
        assert administrator.get("/admin/reconciliations?kind=weather").status_code == 422


class TestDeadLetters:
    def test_they_are_listed_with_their_reason_and_without_their_content(self, session, administrator):
        a_dead_event(session)
        (letter,) = administrator.get("/admin/dead-letters").json["deadLetters"]
        assert (letter["id"], letter["type"], letter["reason"]) == (
            "evt_1",
            "payment_intent.succeeded",
            "orphan: its purchase is not here",
        )
        assert "raw" not in letter

    def test_one_is_sent_again(self, session, administrator, sent):
        a_dead_event(session)
        assert administrator.post("/admin/dead-letters/evt_1/retry").status_code == 202
        assert [(message.task, message.ids) for message in sent] == [
            (TaskName.HANDLE_STRIPE_EVENT, {"event_id": "evt_1"})
        ]
        assert administrator.get("/admin/dead-letters").json["count"] == 0

    def test_one_that_is_not_dead_is_left_alone(self, session, administrator, sent):
        a_dead_event(session)
        administrator.post("/admin/dead-letters/evt_1/retry")
        again = administrator.post("/admin/dead-letters/evt_1/retry")
        assert (again.status_code, len(sent)) == (409, 1)
        assert administrator.post("/admin/dead-letters/evt_none/retry").status_code == 404

    def test_an_ordinary_user_sends_nothing(self, session, client, stranger, sent):
        a_dead_event(session)
        assert client.post("/admin/dead-letters/evt_1/retry").status_code == 404
        assert stranger.post("/admin/dead-letters/evt_1/retry").status_code == 401
        assert sent == []


@pytest.fixture
def quarantined(session, user) -> Execution:
    """A run that took two workers down after its first node was done."""
    graph = factories.chain(factories.node("a"), factories.node("b"))
    run = factories.execution(
        session,
        factories.workflow(session, user, graph=graph),
        status=ExecutionStatus.FAILED,
        error={"code": "quarantined", "message": "The worker died 2 times while it drove this run."},
    )
    factories.ran(session, run, "a")
    crashes = [{"worker": "ada:1", "at": "2026-01-02T03:04:05Z"}, {"worker": "bob:7", "at": "2026-01-02T03:05:05Z"}]
    session.add(
        QuarantinedRun(
            execution_id=run.id,
            user_id=user.id,
            workflow_name=run.workflow_name,
            reason=run.error["message"],
            crashes=crashes,
            submitted_at=run.created_at,
        )
    )
    session.commit()
    return run


class TestQuarantinedRuns:
    def test_stand_beside_dead_events_with_each_crash_and_its_worker(self, session, administrator, quarantined, user):
        a_dead_event(session)
        letters = {letter["kind"]: letter for letter in administrator.get("/admin/dead-letters").json["deadLetters"]}
        run = letters["execution"]
        assert (run["id"], run["type"], run["attempts"]) == (str(quarantined.id), "execution.quarantined", 2)
        assert run["reason"] == "The worker died 2 times while it drove this run."
        assert run["crashes"][1] == {"worker": "bob:7", "at": "2026-01-02T03:05:05Z"}
        assert run["userId"] == str(user.id)
        assert letters["stripe_event"]["crashes"] is None

    def test_are_retried_once_for_their_owner_from_where_they_stopped(
        self, session, administrator, quarantined, user, client, sent
    ):
        answer = administrator.post(f"/admin/dead-letters/{quarantined.id}/retry")
        assert (answer.status_code, answer.json["status"]) == (202, "queued")
        new = client.get(f"/executions/{answer.json['executionId']}").json
        assert [(node["nodeId"], node["status"]) for node in new["nodes"]] == [("a", "success"), ("b", "pending")]
        assert [message.ids for message in sent] == [{"execution_id": new["id"]}]
        assert administrator.get("/admin/dead-letters").json["deadLetters"] == []
        entry = audit.entries(session, action="dead_letter.retried")[0]
        assert (entry.subject_id, entry.data["execution"]) == (user.id, str(quarantined.id))
        assert administrator.post(f"/admin/dead-letters/{quarantined.id}/retry").status_code == 409
        assert len(sent) == 1

    def test_of_an_unknown_id_there_is_none(self, administrator):
        nothing = "00000000-0000-0000-0000-000000000000"
        assert administrator.post(f"/admin/dead-letters/{nothing}/retry").status_code == 404

    def test_are_counted(self, quarantined, metrics):
        assert "agentforge_executions_quarantined 1.0" in metrics()


class TestQueues:
    def test_show_what_waits_and_who_works_it_off(self, session, administrator):
        waiting = factories.execution(session)
        me = WorkerInfo("executions1@ada", "ada:1", ["executions.low"], 15)
        worker_heartbeats.report(session, me, silent=50, full=False)
        worker_heartbeats.record_probe(session, "executions.low", "ada:1")
        session.commit()
        answer = administrator.get("/admin/queues").json
        low = next(queue for queue in answer["queues"] if queue["name"] == "executions.low")
        assert (low["depth"], low["deferred"], low["messages"], low["status"]) == (1, 0, 0, "down")
        assert low["oldestAt"] == waiting.created_at.isoformat().replace("+00:00", "Z")
        assert (low["workers"], low["unresponsiveWorkers"], low["probeSeconds"]) == (0, 1, 0.0)
        worker = answer["workers"][0]
        assert (worker["name"], worker["status"], worker["running"]) == ("executions1@ada", "unresponsive", 0)
        assert answer["beat"] == "up"
        assert {queue["name"] for queue in answer["queues"]} == set(QueueName)

    def test_metrics_have_the_same_numbers(self, session, metrics):
        factories.execution(session)
        worker_heartbeats.report(
            session,
            WorkerInfo("one@ada", "ada:1", ["executions.low"], 15),
            silent=50,
            full=False,
            calls={Provider.OPENAI: {"queued": 3}},
        )
        worker_heartbeats.record_probe(session, "executions.low", "ada:1")
        session.commit()
        said = metrics().splitlines()
        assert 'agentforge_queue_rows{queue="executions.low"} 1.0' in said
        assert 'agentforge_queue_messages{queue="executions.low"} 0.0' in said
        assert 'agentforge_queue_workers{queue="executions.low",status="unresponsive"} 1.0' in said
        assert "agentforge_workers_unresponsive 1.0" in said
        assert 'agentforge_provider_calls{provider="openai",state="queued"} 3.0' in said
        assert "agentforge_beat_up 1.0" in said
        assert any(line.startswith('agentforge_queue_probe_age_seconds{queue="executions.low"}') for line in said)
        assert any(line.startswith('agentforge_queue_oldest_seconds{queue="executions.low"}') for line in said)
        session.execute(text("DELETE FROM queue_probes"))
        session.commit()
        assert "agentforge_beat_up 0.0" in metrics()


class TestTheRole:
    def test_counts_from_the_next_request_on_and_is_taken_as_fast(self, session, client, user):
        accounts.set_role(session, " ADA@example.com", Role.ADMIN)
        session.commit()
        assert client.get("/admin/dead-letters").status_code == 200
        accounts.set_role(session, user.email, Role.USER)
        session.commit()
        assert client.get("/admin/dead-letters").status_code == 404


class TestMetrics:
    def test_say_what_was_found_and_what_waits(self, session, metrics):
        a_run(session, LOST, BROKEN)
        a_run(session, LOST, dry_run=True)
        a_dead_event(session)
        alerts.add(session, kind="test", subject="x", detail="Look.", key="test")
        session.commit()
        said = metrics()
        found = 'agentforge_reconciliation_findings{action="repaired",check="payments",kind="objects"} 1.0'
        assert found in said
        assert 'agentforge_reconciliation_age_seconds{kind="objects"}' in said
        assert "agentforge_dead_letters 1.0" in said
        assert "agentforge_billing_alerts 2.0" in said  # the dead letter raised one as well
        assert "agentforge_database_up 1.0" in said

    def test_count_requests_by_route_and_name_no_ids(self, client, metrics):
        asked = "/executions/00000000-0000-0000-0000-000000000000"
        client.get(asked)
        said = metrics()
        line = 'agentforge_requests_total{method="GET",route="/executions/<uuid:execution_id>",status="404"}'
        assert line in said
        assert asked not in said

    def test_are_not_counted_themselves(self, stranger, metrics):
        stranger.get("/health")
        assert 'route="/health"' not in metrics()

    def test_say_so_when_the_database_is_away(self, session, monkeypatch, metrics):
        monkeypatch.setattr("api.ops.metrics.SessionFactory", nobody)
        assert "agentforge_database_up 0.0" in metrics()


def nobody():
    raise OperationalError("SELECT 1", {}, Exception("gone"))
