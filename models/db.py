"""The engine and the sessions of a process; `session_scope` begins and ends every transaction of a worker."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import orjson
from sqlalchemy import Dialect, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from models.dialect import SCHEME, UTC, PooledDialect
from models.serialization import Json, to_json

UNTESTED_SECONDS = 1.0  # in the pool, after which a connection is tested before it is used
PREPARED = "prepared"  # key of the names of the statements that a connection has prepared
# SQLSTATEs of a connection that has to be replaced: a write to a standby, such as a former primary; a plan that does
# not fit the tables any more; a statement that was prepared, but in another session.
UNFIT = frozenset({"25006", "0A000", "26000"})

# When a connection whose other end is silent counts as lost, as when a host is cut off: ten seconds after data that is
# not acknowledged (ms; without it Linux sends again for a quarter of an hour), and about as long while an answer is
# awaited (s). Parameters of libpq.
SILENCE = {"tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}

SessionFactory = sessionmaker(expire_on_commit=False)


def connect(url: str, *, pool_size: int = 10, statement_timeout_ms: int = 15_000) -> Engine:
    """Bind `SessionFactory` to the database at `url`, as `new_engine` describes; connects lazily."""
    engine = new_engine(url, pool_size=pool_size, statement_timeout_ms=statement_timeout_ms)
    SessionFactory.configure(bind=engine)
    return engine


def new_engine(url: str, *, pool_size: int = 10, statement_timeout_ms: int = 15_000) -> Engine:
    """Create an engine for the database at `url`; connects lazily.

    Args:
        url: a `postgresql://` address; it is used with the dialect of `models/dialect.py`.
        pool_size: connections that this process keeps open; under load it opens as many again, each for one use.
        statement_timeout_ms: milliseconds after which Postgres cancels a statement.
    """
    engine = create_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        pool_use_lifo=True,  # so that few connections serve most transactions, with what they have prepared
        hide_parameters=True,  # errors are logged, and parameters may be secrets of users
        json_serializer=to_json,
        json_deserializer=_parse_json,
        transaction_settings=UTC
        | {"statement_timeout": str(statement_timeout_ms), "idle_in_transaction_session_timeout": "60000"},
        connect_args={
            "connect_timeout": 5,
            "application_name": "agentforge",
            **SILENCE,
        },
    )
    event.listen(engine, "handle_error", _as_operational_error)
    event.listen(engine, "connect", partial(_note_pooler, cast("PooledDialect", engine.dialect)))
    event.listen(engine, "checkin", _mark_idle)
    event.listen(engine, "checkout", partial(_check_alive, engine.dialect))
    return engine


def prepared_statements(info: Mapping[str, Any]) -> set[str] | None:
    """The names of the statements that a connection with this `info` has prepared; None if it must not prepare any."""
    return info.get(PREPARED)


def _note_pooler(dialect: PooledDialect, connection: Any, record: ConnectionPoolEntry) -> None:
    """Let the session keep settings and prepared statements if the connection leads to the process that it names.

    If it does not, a pooler is between.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        if cursor.fetchone() == (connection.info.backend_pid,):
            record.info[PREPARED] = set()
            dialect.set_up(connection)


def _as_operational_error(context: ExceptionContext) -> OperationalError | None:
    """Raise `OperationalError`, which is worth a retry, for a connection that is lost or has to be replaced."""
    error = context.original_exception
    if getattr(error, "pgcode", None) in UNFIT:
        context.is_disconnect = True  # after a failover, a new connection may lead to the primary
    if not context.is_disconnect or isinstance(context.sqlalchemy_exception, OperationalError):
        return None
    return OperationalError(context.statement, None, error, hide_parameters=True, connection_invalidated=True)


def _mark_idle(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _check_alive(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection
) -> None:
    """Test a connection that was idle for a while; a round trip for each request would be costly."""
    idle_seconds = time.monotonic() - record.info.get("idle_since", time.monotonic())
    if idle_seconds > UNTESTED_SECONDS and not _is_alive(dialect, connection):
        raise DisconnectionError  # the pool tries other connections, and then opens a new one


def _is_alive(dialect: Dialect, connection: DBAPIConnection) -> bool:
    try:
        return dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        return False


def driver_url(url: str) -> str:
    """Return the address with the scheme of our dialect, as SQLAlchemy expects it."""
    return url.replace("postgres://", "postgresql://", 1).replace("postgresql://", f"{SCHEME}://", 1)


@contextmanager
def session_scope() -> Iterator[Session]:
    """Open a session that commits at the end of the block and rolls back if the block raises."""
    with SessionFactory() as session, session.begin():
        yield session


@contextmanager
def single_statement_scope() -> Iterator[Session]:
    """Open a session for one `RawStatement`, which is a transaction of its own and one round trip."""
    with session_scope() as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        yield session


def _parse_json(text: str) -> Json:
    return orjson.loads(text)
