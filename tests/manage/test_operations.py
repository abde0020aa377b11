"""Operators look at queues and workers, and handle dead letters, alerts and keys."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import Provider
from models.services.accounts import provider_keys
from models.services.operations import alerts, worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo
from models.services.stripe import stripe_events
from models.tables import EventStatus, Execution, QuarantinedRun, StripeEvent
from models.vault import Vault
from settings import DEVELOPMENT_KEY
from tasks.queue import QueueName, TaskName
from tests.support import factories

OTHER_KEY = f"old:{'A' * 43}="


def test_queues_are_shown_with_rows_and_workers(session, manage):
    factories.execution(session)
    worker_heartbeats.report(session, WorkerInfo("w@host", "host:1", ["executions.low"], 15.0), silent=0, full=False)
    worker_heartbeats.record_probe(session, "executions.low", "host:1")
    rows = {row["queue"]: row for row in manage("queues", "depth", "--json").document}
    assert set(rows) == set(QueueName)
    assert (rows["executions.low"]["status"], rows["executions.low"]["workers"]) == ("up", 1)
    assert rows["executions.low"]["rows"] >= 1
    assert rows["billing"]["status"] == "down"


def test_workers_are_listed_with_what_they_drive(session, manage):
    worker_heartbeats.report(session, WorkerInfo("w@host", "host:1", ["billing"], 15.0), silent=0, full=False)
    factories.execution(
        session, status=ExecutionStatus.RUNNING, lease_owner="host:1", lease_expires_at=datetime.now(UTC)
    )
    (row,) = (one for one in manage("workers", "--json").document if one["name"] == "w@host")
    assert (row["status"], row["running"], row["queues"]) == ("up", 1, ["billing"])
    assert "w@host" in manage("workers").out


class TestDeadLetters:
    def test_of_stripe_are_handled_again(self, session, manage, sent, last_entry):
        event = {
            "type": "payment_intent.succeeded",
            "api_version": None,
            "created": datetime.now(UTC),
            "livemode": False,
            "raw": b"{}",
        }
        stripe_events.receive(session, event_id="evt_1", **event)
        row = session.get_one(StripeEvent, "evt_1")
        row.status, row.error = EventStatus.DEAD, "It failed too often."
        assert "evt_1" in {one["id"] for one in manage("dead-letters", "list", "--json").document}
        assert manage("dead-letters", "retry", "evt_1").out == "evt_1 is handled again.\n"
        assert (sent[-1].task, sent[-1].ids) == (TaskName.HANDLE_STRIPE_EVENT, {"event_id": "evt_1"})
        assert last_entry().action == "dead_letter.retried"
        assert manage("dead-letters", "retry", "evt_1").status == 1

    def test_of_runs_start_a_new_run(self, session, manage, sent):
        run = factories.execution(session, status=ExecutionStatus.FAILED)
        session.add(
            QuarantinedRun(
                execution_id=run.id,
                user_id=run.user_id,
                workflow_name="w",
                submitted_at=run.created_at,
                reason="It ended its process.",
                crashes=[],
            )
        )
        new = manage("dead-letters", "retry", run.id, "--json").document["retriedAs"]
        assert session.get_one(Execution, new).retry_of == run.id
        assert sent[-1].ids == {"execution_id": new}


def test_alerts_are_listed_and_resolved_once(session, manage, last_entry):
    alerts.add(session, kind="test", subject="pi_1", detail="Look.", key=f"test:{uuid4()}")
    (alert,) = (one for one in manage("alerts", "list", "--json").document if one["subject"] == "pi_1")
    assert manage("alerts", "resolve", alert["id"]).out == f"The alert {alert['id']} is closed.\n"
    entry = last_entry()
    assert (entry.action, entry.data["alert"]) == ("alert.resolved", alert["id"])
    assert manage("alerts", "resolve", alert["id"]).out == f"The alert {alert['id']} was closed before.\n"
    assert last_entry().id == entry.id


class TestKeys:
    @pytest.fixture
    def owner(self, session):
        return factories.user(session)

    def test_are_sealed_again_with_the_first_one(self, session, manage, owner, monkeypatch, last_entry):
        ring = f"{DEVELOPMENT_KEY},{OTHER_KEY}"
        monkeypatch.setattr("manage.commands.keys.vault", lambda: Vault(ring))
        provider_keys.put(session, owner.id, Provider.OPENAI, "sk-" + "x" * 40, vault=Vault(OTHER_KEY))
        assert manage("keys", "rotate", "--dry-run", "--json").document["sealed"] == 1
        answer = manage("keys", "rotate")
        assert answer.out == "1 keys sealed with dev; 0 cannot be opened with this key ring.\n"
        assert last_entry().data["sealed"] == 1
        secret = provider_keys.secret_for(session, owner.id, Provider.OPENAI, vault=Vault(DEVELOPMENT_KEY))
        assert secret == "sk-" + "x" * 40

    def test_that_cannot_be_opened_fail_the_command(self, session, manage, owner):
        provider_keys.put(session, owner.id, Provider.OPENAI, "sk-" + "x" * 40, vault=Vault(OTHER_KEY))
        answer = manage("keys", "rotate", "--json")
        assert (answer.status, answer.document["unreadable"]) == (1, 1)
