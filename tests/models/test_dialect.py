"""Our transactions in place of psycopg2's own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from models.db import driver_url
from models.dialect import UTC

SETTING = text("SHOW statement_timeout")


@pytest.fixture
def engine(empty_database: str) -> Iterator[Engine]:
    """One connection, for which every transaction is set up."""
    engine = create_engine(
        driver_url(empty_database), pool_size=1, max_overflow=0, transaction_settings=UTC | {"statement_timeout": "7s"}
    )
    yield engine
    engine.dispose()


def test_statements_that_commit_themselves_leave_nothing_to_roll_back(engine: Engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE TABLE kept (n int)"))
        connection.rollback()
        assert connection.scalar(SETTING) == "0"
        with pytest.raises(DBAPIError, match="only be used in transaction blocks"):
            connection.execute(text("SAVEPOINT a"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('kept') IS NOT NULL"))


def test_a_connection_begins_transactions_again_after_them(engine: Engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT 1"))
    with engine.connect() as connection:
        assert connection.scalar(SETTING) == "7s"
        connection.execute(text("CREATE TABLE undone (n int)"))
        connection.rollback()
        assert connection.scalar(text("SELECT to_regclass('undone') IS NULL"))


@pytest.mark.parametrize("level", ["SERIALIZABLE", "REPEATABLE READ"])
def test_a_level_that_would_be_the_sessions_is_refused(engine: Engine, level: str):
    with engine.connect() as connection, pytest.raises(NotImplementedError, match="READ COMMITTED"):
        connection.execution_options(isolation_level=level)


def test_a_transaction_begins_in_the_message_of_its_first_statement(engine: Engine):
    message = text("SELECT current_query()")
    with engine.connect() as connection:
        for _ in range(2):
            assert connection.scalar(message).startswith("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL")
            assert connection.scalar(message).startswith("SELECT")
            assert connection.scalar(SETTING) == "7s"
            connection.rollback()


def test_a_first_statement_that_fails_leaves_its_transaction_to_roll_back(engine: Engine):
    with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="division by zero"):
            connection.execute(text("SELECT 1 / 0"))
        with pytest.raises(DBAPIError, match="transaction is aborted"):
            connection.execute(text("SELECT 1"))
        connection.rollback()
        assert connection.scalar(SETTING) == "7s"


def test_rows_inserted_many_at_a_time_are_rolled_back_too(engine: Engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE many (n int)"))
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO many VALUES (:n)"), [{"n": 1}, {"n": 2}])
        connection.rollback()
        assert connection.scalar(text("SELECT count(*) FROM many")) == 0


def test_a_transaction_without_a_statement_sends_nothing(engine: Engine):
    with engine.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.rollback()
        connection.begin().commit()
        connection.begin().rollback()
        with create_engine(engine.url).connect() as other:
            sent = text("SELECT query FROM pg_stat_activity WHERE pid = :process")
            assert other.scalar(sent, {"process": process}) == "ROLLBACK"
