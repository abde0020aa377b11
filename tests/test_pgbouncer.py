"""Nobody misses what sessions lose in PgBouncer's transaction mode; on PostgreSQL 15, in another time zone."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import text

from models.db import SessionFactory, connect, session_scope, single_statement_scope
from models.raw_statement import PreparedStatement
from models.rules.prices.pricing import Tier
from models.services.credits import api_calls
from tests.support import factories
from tests.support.database.migrators import migrators, newest_revision, with_concurrent_index
from tests.support.servers.pgbouncer import FAR_AWAY, PgBouncer, pool_before_postgres_15
from workers.exclusive import exclusive

INI = Path(__file__).parent.parent / "alembic.ini"


@pytest.fixture(scope="module")
def pool(server_directory: Path) -> Iterator[PgBouncer]:
    with pool_before_postgres_15(server_directory) as pool:
        yield pool


@pytest.fixture(scope="module")
def migrated(pool: PgBouncer) -> str:
    """Address of the database through the pool, by which it was migrated, too."""
    with migrators(INI, pool.url(), 1) as (migrator,):
        said = migrator.communicate(timeout=60)
    assert migrator.returncode == 0, said
    return pool.url()


@pytest.fixture
def pooled_database(migrated: str) -> Iterator[str]:
    """The same, with `SessionFactory` bound to it."""
    engine = connect(migrated)
    yield migrated
    engine.dispose()
    SessionFactory.configure(bind=None)


def test_the_pool_refuses_and_resets_session_state(pool: PgBouncer):
    with pytest.raises(psycopg2.OperationalError, match="unsupported startup parameter"):
        psycopg2.connect(pool.url(), options="-c timezone=utc")
    with closing(psycopg2.connect(pool.url())) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW timezone")
        assert cursor.fetchone() == (FAR_AWAY,)


def test_no_statement_is_prepared_in_a_session_of_the_pool(pooled_database: str):
    add = PreparedStatement("SELECT CAST(:one AS int) + 1")
    for one in range(3):
        with single_statement_scope() as session:
            assert add.first(session, {"one": one}) == (one + 1,)
    with session_scope() as session:
        assert session.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0


def test_times_are_in_utc_and_limits_hold_in_every_transaction(pooled_database: str):
    for _ in range(3):
        with session_scope() as session:
            now = session.scalar(text("SELECT now()"))
            assert now.utcoffset() == timedelta(0)
            assert session.scalar(text("SHOW statement_timeout")) == "15s"
            assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
            assert session.scalar(text("SHOW transaction_isolation")) == "read committed"
    with closing(psycopg2.connect(pooled_database)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)  # nothing of ours stayed with a connection of the pool


def test_the_month_begins_at_midnight_in_utc(pooled_database: str):
    with session_scope() as session:
        resets_at = api_calls.used(session, factories.user(session).id, Tier.FREE).resets_at
    month = datetime.now(UTC).replace(day=28) + timedelta(days=4)
    assert resets_at == datetime(month.year, month.month, 1, tzinfo=UTC)


def test_migrations_run_one_at_a_time_and_leave_no_lock(pooled_database: str):
    with migrators(INI, pooled_database) as both:
        said = [migrator.communicate(timeout=60)[1] for migrator in both]
    assert [migrator.returncode for migrator in both] == [0, 0], said


def test_an_index_is_built_concurrently_through_the_pool(pooled_database: str, tmp_path: Path):
    with migrators(with_concurrent_index(tmp_path), pooled_database, 1) as (migrator,):
        said = migrator.communicate(timeout=60)[1]
    assert migrator.returncode == 0, said
    with session_scope() as session:
        assert session.scalar(text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_users_name'::regclass"))
        session.execute(text("DROP INDEX ix_users_name"))
        session.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": newest_revision()})


def test_exclusive_work_has_one_holder_through_any_pooled_connection(pooled_database: str):
    held, most = [], []

    def take(number: int) -> None:
        with exclusive("alone", seconds=5) as lease:
            if lease is not None:
                held.append(number)
                most.append(len(held))
                threading.Event().wait(0.3)
                held.remove(number)

    for _ in range(3):
        threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == [1, 1, 1]


def test_nothing_is_left_locked_in_the_pool(pooled_database: str):
    with closing(psycopg2.connect(pooled_database)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND a.state = 'idle'"
        )
        assert cursor.fetchone() == (0,)
