"""The doctor names each of many faults at once, and says how to mend it; `test_story` shows it on a healthy stack."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text

from devstack.servers.redis_server import running_redis
from manage.doctor import of_backups, of_database, results
from manage.doctor.results import Level
from models.db import SessionFactory, connect, session_scope
from models.services.operations import alerts, worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo
from models.services.reconciliation import reconciliation
from models.services.reconciliation.reconciliation import Found
from models.services.stripe import stripe_events
from models.tables import Action, EventStatus, ReconciliationRun, RunKind, StripeEvent
from settings import Settings
from tests.manage.test_programs import agentforge
from tests.models.test_roles import service
from tests.support import factories
from tests.support.stripe.books import Books

__all__ = ["service"]

NOWHERE = "127.0.0.1:1"
LONG_AGO = datetime.now(UTC) - timedelta(days=5)


@pytest.fixture
def forgetful_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that keeps nothing."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server, redis.Redis.from_url(server.url()) as client:
        client.config_set("appendonly", "no")
        yield server.url()


@pytest.fixture
def old_backups(tmp_path: Path) -> Path:
    """A directory whose newest dump is five days old."""
    dump = tmp_path / "postgres-20261120T031700Z.dump"
    dump.write_text("a dump")
    os.utime(dump, (LONG_AGO.timestamp(),) * 2)
    return tmp_path


def write_faulty_rows() -> None:
    """What a deployment leaves behind that has been ill for days."""
    with session_scope() as session:
        run = reconciliation.begin(session, RunKind.OBJECTS, since=LONG_AGO, dry_run=False)
        lost = Found("events", "evt_9", "missing_here", Action.REPAIRED, "It had not arrived.")
        reconciliation.record(session, run.id, lost)
        reconciliation.finish(session, run.id, checked=1, error=None, reached=None)
        session.query(ReconciliationRun).update({"created_at": LONG_AGO})
        alerts.add(session, kind="test", subject="pi_1", detail="Look.", key="test")
        event = {"event_id": "evt_1", "type": "payment_intent.succeeded", "created": LONG_AGO}
        stripe_events.receive(session, **event, api_version=None, livemode=False, raw=b"{}")
        row = session.get_one(StripeEvent, "evt_1")
        row.status, row.error = EventStatus.DEAD, "It failed too often."
        silent = WorkerInfo("w@host", "host:1", ["billing"], 15.0)
        worker_heartbeats.report(session, silent, silent=300.0, full=False)
        factories.execution(session, created_at=LONG_AGO)
        session.execute(text("UPDATE alembic_version SET version_num = '0011'"))


FAULTS = {  # by the sentence that names it: the check
    "STRIPE_WEBHOOK_SECRET is not set": "settings",
    "DEPLOYMENT_ID has the value for development": "settings",
    "Redis keeps nothing": "persistence",
    "The mail server could not be reached": "mail",
    "OpenClaw cannot be reached": "openclaw",
    "Stripe does not accept our key": "stripe",
    "The database is at revision 0011": "migrations",
    "No worker consumes executions.high": "queues",
    "w@host gets no messages": "workers",
    "No periodic task ever ran": "beat",
    "1 events of the last day did not arrive": "webhook",
    "objects were compared 5 days ago": "reconciliation",
    "1 alerts about money are open": "alerts",
    "0 runs and 1 Stripe events wait for a person": "dead letters",
    "The last one was made 5 days ago": "backups",
}


def ill(database: str, redis_url: str, books: Books) -> dict[str, str]:
    """The settings of a deployment with faults."""
    return {
        "DATABASE_URL": database,
        "AGENTFORGE_ENV": "production",
        "REDIS_URL": redis_url,
        "JWT_SECRETS": f"a:{'x' * 32}",
        "ENCRYPTION_KEYS": f"a:{'A' * 43}=",
        "STRIPE_SECRET_KEY": "sk_test_wrong",
        "STRIPE_API_BASE": books.stripe.url,
        "STRIPE_LIVEMODE": "false",
        "SMTP_URL": f"smtp://{NOWHERE}",
        "MAIL_FROM": "AgentForge <no-reply@agentforge.example>",
        "APP_URL": "https://api.agentforge.example",
        "OPENCLAW_URL": f"ws://{NOWHERE}",
        "OPENCLAW_TOKEN": "a token",
        "DEPLOYMENT_ID": "dev",
    }


def found(check: str, level: Level, document: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in document if (one["check"], one["level"]) == (check, level)]


def test_every_planted_fault_is_named_with_what_mends_it(
    books: Books, committed_database: str, forgetful_redis: str, old_backups: Path
):
    write_faulty_rows()
    env = ill(committed_database, forgetful_redis, books)
    answer = agentforge(committed_database, "doctor", "--backups", old_backups, "--json", **env)
    assert answer.returncode == 1, answer.stderr
    document = json.loads(answer.stdout)
    for sentence, check in FAULTS.items():
        named = [one for one in found(check, Level.WRONG, document) if sentence in one["what"]]
        assert named, f"{check}: {sentence} is not in {document}"
        assert all(one["mend"] for one in named)
    assert {one["check"] for one in document if one["level"] == "wrong"} == set(FAULTS.values())
    assert found("database", Level.OK, document)
    assert found("redis", Level.OK, document)
    assert "sk_test_wrong" not in answer.stdout
    text_form = agentforge(committed_database, "doctor", "--backups", old_backups, **env).stdout
    assert "To mend it: Run `agentforge backup` daily" in text_form


def test_keys_that_lie_beside_the_backups_are_named(committed_database: str, old_backups: Path):
    (old_backups / "env.txt").write_text("PORT=3000\nENCRYPTION_KEYS=a:secret\n")
    answer = agentforge(committed_database, "doctor", "--backups", old_backups, "--json")
    said = [one["what"] for one in found("backups", Level.WRONG, json.loads(answer.stdout))]
    assert "The keys of what the backups contain are beside them: env.txt." in said
    assert "secret" not in answer.stdout


def test_without_its_database_everything_else_is_still_examined(forgetful_redis: str):
    answer = agentforge(f"postgresql://{NOWHERE}/nowhere", "doctor", "--json", REDIS_URL=forgetful_redis)
    document = json.loads(answer.stdout)
    assert answer.returncode == 1
    assert len(found("database", Level.WRONG, document)) == 1
    assert found("persistence", Level.WRONG, document)


def test_a_role_is_not_blamed_for_what_it_does_not_have(committed_database: str, redis_url: str):
    role = {"AGENTFORGE_ROLE": "beat", "BROKER_URL": redis_url}
    document = json.loads(agentforge(committed_database, "doctor", "--json", **role).stdout)
    skipped = {one["check"] for one in document if one["level"] == "skipped"}
    assert skipped == {"stripe", "mail", "openclaw", "database"}
    assert not [one for one in document if one["level"] == "wrong"]


def test_the_users_privileges_are_neither_too_few_nor_too_many(service: str, committed_database: str):
    def privileges() -> list[results.CheckResult]:
        with session_scope() as session:
            return list(of_database.privileges(session, Settings.from_env({})))

    assert [one.level for one in privileges()] == [Level.OK]
    owner = connect(committed_database)
    assert [one.level for one in privileges()] == [Level.WARNING]
    with owner.begin() as connection:
        connection.execute(text("REVOKE SELECT ON purchases FROM agentforge_app"))
    owner.dispose()
    user = connect(service)
    assert [(one.level, "purchases" in one.what) for one in privileges()] == [(Level.WRONG, True)]
    user.dispose()
    SessionFactory.configure(bind=None)


@pytest.mark.parametrize(("seconds", "level"), [(0.5, "ok"), (-5, "warning"), (31, "wrong")])
def test_clocks_may_differ_by_two_seconds(seconds: float, level: str):
    assert of_database.skew("the database", seconds).level == level


@pytest.mark.parametrize(("free", "level"), [(200, "ok"), (9, "warning"), (0.5, "wrong")])
def test_a_full_disk_is_wrong(free: float, level: str):
    gib = 2**30
    assert of_backups.room(Path("/"), int(free * gib), 250 * gib).level == level


def test_ages_are_in_the_largest_unit():
    spans = {1: "1 seconds", 119: "119 seconds", 120: "2 minutes", 7200: "2 hours", 3 * 86_400: "3 days"}
    assert {seconds: results.span(seconds) for seconds in spans} == spans
