"""One engine per process, and the only place where a transaction of a worker begins and ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import orjson
from sqlalchemy import Dialect, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from models.base import Json

UNTESTED_SECONDS = 1.0  # of rest after which a connection is tested before it is used
READ_ONLY = "25006"  # SQLSTATE of a write to what is no primary, or not any more

SessionFactory = sessionmaker(expire_on_commit=False)


def connect(url: str, *, pool_size: int = 10, statement_timeout_ms: int = 15_000) -> Engine:
    """Bind `SessionFactory` to the database at `url`; connects lazily.

    Args:
        url: `postgresql://` address; the psycopg2 driver is implied.
        pool_size: connections kept open by this process.
        statement_timeout_ms: milliseconds after which Postgres ends a statement of ours.
    """
    engine = create_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        hide_parameters=True,  # errors are logged, and what was asked with may be somebody's secret
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=_parse_json,
        connect_args={
            "connect_timeout": 5,
            "application_name": "agentforge",
            "options": f"-c statement_timeout={statement_timeout_ms} -c idle_in_transaction_session_timeout=60000"
            " -c timezone=utc",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )
    event.listen(engine, "handle_error", _name_by_what_helps)
    event.listen(engine, "checkin", _rest)
    event.listen(engine, "checkout", partial(_look_whether_it_lives, engine.dialect))
    SessionFactory.configure(bind=engine)
    return engine


def _name_by_what_helps(context: ExceptionContext) -> OperationalError | None:
    """A lost connection, or one that leads to a standby since a failover, is `OperationalError`: time cures it."""
    error = context.original_exception
    if getattr(error, "pgcode", None) == READ_ONLY:
        context.is_disconnect = True  # a new one may lead to the primary
    if not context.is_disconnect or isinstance(context.sqlalchemy_exception, OperationalError):
        return None
    return OperationalError(context.statement, None, error, hide_parameters=True, connection_invalidated=True)


def _rest(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    record.info["rests_since"] = time.monotonic()


def _look_whether_it_lives(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection
) -> None:
    """A connection that has just been used needs no test: the round trip would be a good part of a short request."""
    rested = time.monotonic() - record.info.get("rests_since", time.monotonic())
    if rested > UNTESTED_SECONDS and not _lives(dialect, connection):
        raise DisconnectionError  # the pool tries others, and then a new one


def _lives(dialect: Dialect, connection: DBAPIConnection) -> bool:
    try:
        return dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        return False


def driver_url(url: str) -> str:
    """The address in SQLAlchemy's form, which names the driver."""
    return url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg2://", 1)


@contextmanager
def session_scope() -> Iterator[Session]:
    """A session whose work is committed when the block ends well and rolled back when it raises."""
    with SessionFactory() as session, session.begin():
        yield session


def _parse_json(text: str) -> Json:
    return orjson.loads(text)
