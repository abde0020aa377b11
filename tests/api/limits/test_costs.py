"""Numbers of statements and Redis commands of the most frequent calls."""

from threading import get_ident
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from api.jobs import idempotency
from models import dialect
from models.db import session_scope
from models.services.credits import storage
from models.services.executions import executions
from models.tables import Execution, User
from tests.api.conftest import token_of
from tests.support import factories
from tests.support.api.graphs import workflow
from tests.support.database.statements import recorded_commands, recorded_statements


@pytest.fixture
def flow(client: FlaskClient) -> str:
    """A workflow that was run before, so that its owner's stored bytes are known."""
    made = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    assert client.post(f"/workflows/{made}/execute", json={}).status_code == 202
    return str(made)


@pytest.fixture
def run(client: FlaskClient, flow: str) -> str:
    """A run in the queue."""
    made = str(client.post(f"/workflows/{flow}/execute", json={}).json["id"])
    assert client.get(f"/executions/{made}").status_code == 200  # its drawing is known to the process from now on
    return made


def asked(client: FlaskClient, method: str, path: str, **more: object) -> tuple[TestResponse, int, int]:
    """The answer, and how many statements and commands it took; earlier changes are published by another thread."""
    with recorded_statements() as statements, recorded_commands(of_thread=get_ident()) as commands:
        answer = client.open(path, method=method, **more)
    return answer, len(statements), len(commands)


class TestReading:
    def test_a_queued_run_takes_three_statements(self, client, run):
        answer, statements, commands = asked(client, "GET", f"/executions/{run}")
        assert (answer.json["status"], statements, commands) == ("queued", 3, 1)

    def test_a_run_that_is_over_takes_who_asks_the_run_and_its_nodes(self, client, run):
        client.post(f"/executions/{run}/cancel")
        answer, statements, commands = asked(client, "GET", f"/executions/{run}")
        assert (answer.json["status"], statements, commands) == ("cancelled", 3, 1)

    def test_what_the_client_has_already_takes_who_asks_and_the_run(self, client, run):
        client.post(f"/executions/{run}/cancel")
        known = {"If-None-Match": client.get(f"/executions/{run}").headers["ETag"]}
        answer, statements, commands = asked(client, "GET", f"/executions/{run}", headers=known)
        assert (answer.status_code, statements, commands) == (304, 2, 1)


def test_reading_a_run_sends_nothing_but_its_statements(app, shared_database, redis_url, sent, monkeypatch):
    """A transaction around them would take a round trip more to end."""
    with session_scope() as session:
        user = factories.user(session)
        run = executions.submit(session, user, factories.workflow(session, user).id)
    reader = app.test_client()
    reader.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(app, user)}"
    assert reader.get(f"/executions/{run.id}").status_code == 200  # its drawing is known to the process from now on
    others: list[str] = []
    monkeypatch.setattr(dialect, "_run", lambda connection, statement: others.append(statement))
    assert reader.get(f"/executions/{run.id}").status_code == 200
    assert others == []


class TestSubmitting:
    @pytest.fixture
    def ready(
        self, app: Flask, shared_database: str, redis_url: str, sent: list[object]
    ) -> tuple[User, UUID, FlaskClient]:
        """A user, a workflow that is ready to run, and a client; what they do is committed."""
        with session_scope() as session:
            user = factories.user(session)
            flow = factories.workflow(session, user).id
            storage.measure(session, user.id)
        submitter = app.test_client()
        submitter.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(app, user)}"
        return user, flow, submitter

    def test_takes_two_statements_and_one_message(self, client, flow, sent):
        """Who asks, and the run with its hold."""
        sent.clear()
        answer, statements, commands = asked(client, "POST", f"/workflows/{flow}/execute", json={})
        assert (answer.status_code, statements, commands, len(sent)) == (202, 2, 1, 1)

    def test_sends_nothing_but_its_statements(self, ready, sent, monkeypatch):
        """Each of them is a transaction, whose end would be a round trip more."""
        _, flow, submitter = ready
        others: list[str] = []
        monkeypatch.setattr(dialect, "_run", lambda connection, statement: others.append(statement))
        answer, statements, _ = asked(submitter, "POST", f"/workflows/{flow}/execute", json={})
        assert (answer.status_code, statements, others) == (202, 2, [])
        with session_scope() as session:
            run = session.get_one(Execution, UUID(answer.json["id"]))
        assert (run.status, [message.ids for message in sent]) == ("queued", [{"execution_id": str(run.id)}])

    def test_with_a_key_is_one_transaction_with_the_response(self, ready, sent, monkeypatch):
        user, flow, submitter = ready

        def fail(*_: object) -> None:
            raise RuntimeError("The response is not stored.")

        monkeypatch.setattr(idempotency, "_remember", fail)
        answer = submitter.post(f"/workflows/{flow}/execute", json={}, headers={"Idempotency-Key": "one"})
        assert (answer.status_code, sent) == (500, [])
        with session_scope() as session:
            assert session.scalar(select(func.count()).where(Execution.user_id == user.id)) == 0


def test_frequent_calls_send_prepared_statements_only(client, flow, run):
    """To plan one of them takes PostgreSQL longer than to execute it."""
    calls = [("GET", f"/executions/{run}"), ("POST", f"/workflows/{flow}/execute")]
    for _ in range(2):  # the first one of a connection prepares them
        with recorded_statements(are_prepared=True) as statements:
            for method, path in calls:
                assert client.open(path, method=method, json={} if method == "POST" else None).status_code < 300
    assert {sql.split()[0] for sql, _ in statements} == {"EXECUTE"}
