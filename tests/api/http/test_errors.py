"""Every error is a problem document that the app can read, and none reveals internals."""

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError, DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import create_app
from api.http.session import db
from models.db import SessionFactory
from models.errors import Conflict, Forbidden, NotAuthenticated, NotFound, PaymentRequired, TransientError
from models.tables import User

MEMBERS = {"type", "title", "status", "detail", "code", "instance", "message", "error"}


@pytest.fixture
def raising(settings, session, redis_url):
    """An application with one view that raises the given error."""
    app = create_app(settings)
    errors: list[Exception] = []

    @app.get("/raise")
    def view() -> str:
        raise errors[0]

    def ask(error: Exception):
        errors[:] = [error]
        return app.test_client().get("/api/raise")

    return ask


class TestShape:
    def test_has_the_members_of_the_standard_and_those_that_the_app_reads(self, stranger):
        answer = stranger.get("/nowhere", headers={"X-Request-ID": "abc"})
        assert answer.status_code == 404
        assert answer.content_type == "application/problem+json"
        assert set(answer.json) == MEMBERS
        assert answer.json["message"] == answer.json["detail"]
        assert answer.json["error"] == answer.json["title"]
        assert answer.json["status"] == 404
        assert answer.json["instance"] == "urn:agentforge:request:abc"

    def test_a_wrong_method_gets_the_allowed_ones(self, stranger):
        answer = stranger.patch("/auth/login")
        assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
        assert "POST" in answer.headers["Allow"]

    def test_an_id_that_is_none_is_not_there(self, client):
        assert client.get("/workflows/7").status_code == 404
        assert client.get("/executions/00000000-0000-0000-0000-00000000000g").status_code == 404


class TestStatus:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (NotAuthenticated("Who?"), 401),
            (PaymentRequired("No."), 402),
            (Forbidden("No."), 403),
            (NotFound("thing"), 404),
            (Conflict("No."), 409),
            (TransientError("Later."), 503),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_each_of_our_errors_has_one(self, raising, error, status):
        answer = raising(error)
        assert answer.status_code == status
        assert (answer.json["code"], answer.json["detail"]) == (error.code, str(error))

    @pytest.mark.parametrize(
        "error",
        [
            OperationalError("SELECT secret", {}, Exception("10.0.0.1")),
            DatabaseError("SELECT secret", {}, Exception("10.0.0.1"), connection_invalidated=True),
            PoolTimeout(),
        ],
        ids=["gone", "cut", "full"],
    )
    def test_a_database_that_is_away_means_later(self, raising, error):
        answer = raising(error)
        assert (answer.status_code, answer.json["code"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert b"10.0.0.1" not in answer.data
        assert b"secret" not in answer.data

    def test_a_bug_is_answered_without_its_details(self, raising):
        answer = raising(RuntimeError("the secret of the house"))
        assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
        assert set(answer.json) == MEMBERS
        assert b"secret" not in answer.data

    def test_what_the_database_was_asked_with_is_in_no_message(self, session):
        with pytest.raises(DataError) as refusal:
            session.execute(text("SELECT length(:password) / 0"), {"password": "the secret of the house"})
        assert "secret" not in str(refusal.value)


class TestTransaction:
    @pytest.fixture
    def writing(self, settings, session, redis_url) -> Flask:
        """An application whose views write a user, and then do as their name says."""
        app = create_app(settings)

        @app.post("/succeed")
        def succeed() -> str:
            write()
            return "ok"

        @app.post("/refuse")
        def refuse() -> str:
            write()
            raise Conflict("No.")

        @app.post("/fail-to-commit")
        def fail_to_commit() -> str:
            write()
            db().add(
                User(email="b@example.com", name="B", password_hash="none", token_epoch=-1)
            )  # flushed by the commit
            return "ok"

        return app

    def test_what_was_answered_well_is_stored(self, writing, session):
        assert writing.test_client().post("/succeed").status_code == 200
        assert emails(session) == ["a@example.com"]

    def test_what_was_refused_is_not(self, writing, session):
        assert writing.test_client().post("/refuse").status_code == 409
        assert emails(session) == []

    def test_a_failed_commit_is_an_error_for_the_client(self, writing, session):
        assert writing.test_client().post("/fail-to-commit").status_code == 500
        assert emails(session) == []


def write() -> None:
    db().add(User(email="a@example.com", name="A", password_hash="none"))
    db().flush()


def emails(session) -> list[str]:
    return list(session.scalars(text("SELECT email FROM users")))


class TestWithoutDatabase:
    @pytest.fixture
    def away(self, client, monkeypatch):
        """The user's client while nothing listens where the database was."""
        engine = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
        monkeypatch.setitem(SessionFactory.kw, "bind", engine)
        return client

    @pytest.mark.parametrize(("method", "path"), [("GET", "/auth/me"), ("POST", "/workflows"), ("GET", "/executions")])
    def test_requests_are_asked_to_come_back(self, away, method, path):
        answer = away.open(path, method=method, json={})
        assert (answer.status_code, answer.json["code"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert b"127.0.0.1" not in answer.data
