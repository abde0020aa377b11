"""Real servers for the tests: one PostgreSQL and one Redis per test run, on free ports, removed at its end.

A test with the fixture `session` leaves nothing behind, because its outer transaction is rolled back. A test whose
commits other connections or processes must see uses `committed_database`, a private one.
"""

import gc
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from devstack.servers.postgres import PostgresServer, running_postgres
from devstack.servers.redis_server import RedisServer, running_redis
from models.changes import set_change_publisher
from models.db import SessionFactory, connect
from tasks.queue import TaskMessage, set_publisher
from tests.support.database.lending import Lending, LentDatabase

ROOT = Path(__file__).parent.parent
TEMPLATE = "migrated"
MEMORY = Path("/dev/shm")  # noqa: S108  # where Linux keeps files in memory; ours go into a directory of their own
ROOM = 4 * 2**30  # bytes
LONG = 300  # characters of a value that make a bad name

_numbers = itertools.count(1)


# How long an example takes says nothing on a machine that does other things too.
settings.register_profile("untimed", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Collect no garbage while the tests are imported, when there is hardly any, and print tracebacks as Python does.

    structlog draws them with rich, if that is installed, which takes more than a second for one.
    """
    gc.disable()
    *others, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, plain])


def pytest_collection_finish() -> None:
    """Set apart what was imported, so that a collection during a test does not look through all of it each time."""
    gc.freeze()
    gc.enable()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a long value by its beginning and its length: ids travel between the processes with every report."""
    if isinstance(val, str | bytes) and len(val) > LONG:
        return f"{val[:20]!r} and so on, {len(val)} in all"
    return None


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """The directory of this run's servers: in memory if there is space, where databases are copied much faster."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    with tempfile.TemporaryDirectory(prefix="agentforge-test-", dir=MEMORY if has_room else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres(server_directory: Path) -> Iterator[PostgresServer]:
    """The PostgreSQL of this run; it is not crash-safe, for speed. Fault tests start their own."""
    with running_postgres(server_directory / "postgres", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(server_directory: Path) -> Iterator[RedisServer]:
    """The Redis of this run."""
    with running_redis(server_directory / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres: PostgresServer) -> str:
    """Name of a migrated database, which is copied and never connected to."""
    url = postgres.create_database(TEMPLATE)
    answer = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={"PATH": os.defpath, "DATABASE_URL": url, "AGENTFORGE_ENV": "test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return TEMPLATE


@pytest.fixture(scope="session")
def database_url(postgres: PostgresServer, template_database: str) -> str:
    """Address of the migrated database that `session` uses."""
    return postgres.create_database("tests", template=template_database)


@pytest.fixture(autouse=True)
def _nobody_is_told() -> Iterator[None]:
    """Disable the change notifier, unless a test sets one."""
    before = set_change_publisher(lambda ids: None)
    yield
    set_change_publisher(before)


@pytest.fixture
def sent() -> Iterator[list[TaskMessage]]:
    """The task messages that were published; there is no broker."""
    messages: list[TaskMessage] = []
    before = set_publisher(messages.append)
    yield messages
    set_publisher(before)


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """Address of a database without tables, for the tests of the migrations."""
    name = f"empty_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def lending(postgres: PostgresServer, template_database: str) -> Iterator[Lending]:
    """Migrated databases, each for one test or module at a time."""
    lending = Lending(postgres, template_database)
    yield lending
    lending.close()


@pytest.fixture
def committed_database(lending: Lending) -> Iterator[str]:
    """Address of a private migrated database; `SessionFactory` is bound to it and really commits."""
    database = lending.lend()
    SessionFactory.configure(bind=database.engine)
    yield database.url
    SessionFactory.configure(bind=None)
    lending.take_back(database)


@pytest.fixture(scope="module")
def lent_to_module(lending: Lending) -> Iterator[LentDatabase]:
    """A migrated database that the tests of a module share, each with its own users."""
    database = lending.lend()
    yield database
    lending.take_back(database)


@pytest.fixture(scope="module")
def module_database(lent_to_module: LentDatabase) -> str:
    """The address of the module's database."""
    return lent_to_module.url


@pytest.fixture
def shared_database(lent_to_module: LentDatabase) -> Iterator[str]:
    """The same, with `SessionFactory` bound to it, which really commits."""
    SessionFactory.configure(bind=lent_to_module.engine)
    yield lent_to_module.url
    SessionFactory.configure(bind=None)


@pytest.fixture(scope="session")
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the Redis of this run."""
    with redis.Redis.from_url(redis_server.url()) as client:
        yield client


@pytest.fixture
def redis_url(redis_server: RedisServer, redis_client: redis.Redis) -> str:
    """Address of an empty Redis database."""
    redis_client.flushall()
    return redis_server.url()


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    """The engine of `session`, built by production's code."""
    engine = connect(database_url)
    SessionFactory.configure(bind=None)  # without `session` a test has no database and fails
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session in a transaction that is rolled back, with everything that `session_scope()` commits in it."""
    with engine.connect() as connection, connection.begin() as everything:
        SessionFactory.configure(bind=connection, join_transaction_mode="create_savepoint")
        with SessionFactory() as session:
            yield session
        everything.rollback()
        SessionFactory.configure(bind=None, join_transaction_mode="conditional_savepoint")
