"""Guarantees of the suite's fixtures."""

import gc
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session

from devstack.servers.postgres import PostgresServer
from models.db import SessionFactory, session_scope
from tests.support import factories
from tests.support.database.lending import Lending, LentDatabase

COUNT = text("SELECT count(*) FROM pg_description WHERE description = 'left behind'")
LEAVE = text("COMMENT ON SCHEMA public IS 'left behind'")


@pytest.mark.parametrize("turn", [1, 2])
def test_what_one_test_commits_the_next_does_not_see(session: Session, turn: int) -> None:
    assert session.scalar(COUNT) == 0
    with session_scope() as inner:
        inner.execute(LEAVE)
    assert session.scalar(COUNT) == 1
    session.commit()


def test_a_rollback_undoes_only_its_own_session(session: Session) -> None:
    with session_scope() as inner:
        inner.execute(LEAVE)
    session.rollback()
    assert session.scalar(COUNT) == 1


def test_other_connections_see_what_a_committed_database_holds(committed_database: str) -> None:
    with session_scope() as inner:
        inner.execute(LEAVE)
    connection = psycopg2.connect(committed_database)
    with connection.cursor() as cursor:
        cursor.execute(COUNT.text)
        assert cursor.fetchone() == (1,)
    connection.close()


def test_a_test_without_a_session_has_no_database() -> None:
    with pytest.raises(UnboundExecutionError), SessionFactory() as session:
        session.execute(text("SELECT 1"))


def test_the_collector_does_not_look_through_what_was_imported() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 100_000


class TestLending:
    """The databases behind `committed_database` are lent again and again."""

    @pytest.fixture
    def lending(self, postgres: PostgresServer, template_database: str) -> Iterator[Lending]:
        """Another one than that of the other tests, so that it begins with none."""
        lending = Lending(postgres, template_database, prefix="lent_elsewhere")
        yield lending
        lending.close()

    @pytest.fixture
    def database(self, lending: Lending) -> LentDatabase:
        return lending.lend()

    def test_is_empty_again_for_the_next_one(self, lending: Lending, database: LentDatabase) -> None:
        with Session(database.engine) as session, session.begin():
            user = factories.user(session, credits=5)
            factories.execution(session, factories.workflow(session, user))
        lending.take_back(database)
        again = lending.lend()
        assert again is database
        with again.engine.connect() as connection:
            assert {connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in again.emptied} == {0}
            assert connection.scalar(text("SELECT count(*) FROM templates")) > 0

    @pytest.mark.parametrize(
        "statement",
        [
            "ALTER TABLE sessions RENAME TO elsewhere",
            "ALTER TABLE sessions ADD hint text",
            "ALTER TABLE sessions ADD CONSTRAINT never CHECK (false)",
            "ALTER TABLE credit_transactions DISABLE TRIGGER ALL",
            "ALTER TABLE sessions SET (fillfactor = 50)",
            "CREATE INDEX another ON sessions (id)",
            "CREATE TABLE another (id int)",
            "CREATE OR REPLACE FUNCTION another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE TYPE another AS ENUM ('a')",
            "CREATE SCHEMA another",
            "COMMENT ON SCHEMA public IS 'left behind'",
            "GRANT SELECT ON sessions TO PUBLIC",
            "DROP TABLE sessions",
            "DELETE FROM templates",
            "UPDATE templates SET name = 'Another'",
            "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET jit = off'; END $$",
        ],
    )
    def test_is_not_lent_again_when_more_than_rows_changed(
        self, lending: Lending, database: LentDatabase, statement: str
    ) -> None:
        with database.engine.begin() as connection:
            connection.execute(text(statement))
        lending.take_back(database)
        assert lending.lend() is not database

    def test_is_not_lent_again_while_a_client_is_connected(self, lending: Lending, database: LentDatabase) -> None:
        with closing(psycopg2.connect(database.url)):
            lending.take_back(database)
            assert lending.lend() is not database

    def test_is_not_lent_again_when_a_connection_was_cut(
        self, lending: Lending, database: LentDatabase, postgres: PostgresServer
    ) -> None:
        with database.engine.connect(), database.engine.connect() as other:
            pid = other.scalar(text("SELECT pg_backend_pid()"))
        # From another database: a backend of this one may outlive its connection, and would be counted in its place.
        with closing(psycopg2.connect(postgres.url())) as outside, outside.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        lending.take_back(database)
        assert lending.lend() is not database

    def test_is_not_lent_again_when_a_thread_still_uses_it(self, lending: Lending, database: LentDatabase) -> None:
        with database.engine.connect():
            lending.take_back(database)
            assert lending.lend() is not database


def test_a_logged_traceback_is_printed_as_python_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise LookupError("nothing there")
    except LookupError:
        structlog.get_logger().exception("search.failed")
    printed = capsys.readouterr().out
    assert "Traceback (most recent call last):\n" in printed
    assert printed.endswith("LookupError: nothing there\n")
