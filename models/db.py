"""One engine per process, and the only place where a transaction of a worker begins and ends."""

from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from models.base import Json

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
        pool_pre_ping=True,
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
    SessionFactory.configure(bind=engine)
    return engine


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
