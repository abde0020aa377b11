"""Real servers for the tests: one PostgreSQL and one Redis per run, on free ports, gone at its end.

A test that works through `session` leaves nothing behind, since its outer transaction is rolled back. A test
that needs commits seen by other connections or processes asks for `committed_database`, a copy of its own.
"""

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
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from devstack import control
from devstack.ports import free_port
from devstack.postgres import PostgresServer, running_postgres
from devstack.redis_server import RedisServer, running_redis
from models.changes import announce_through
from models.db import SessionFactory, connect

ROOT = Path(__file__).parent.parent
TEMPLATE = "migrated"
MEMORY = Path("/dev/shm")  # noqa: S108  # where Linux keeps files in memory; ours go into a directory of their own
ROOM = 4 * 2**30  # bytes

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where this run's servers keep their data: in memory if there is room, where databases are copied much faster."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    with tempfile.TemporaryDirectory(prefix="agentforge-test-", dir=MEMORY if has_room else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres(server_directory: Path) -> Iterator[PostgresServer]:
    """The PostgreSQL of this run; it may forget on a crash, for speed. Fault tests start one of their own."""
    with running_postgres(server_directory / "postgres", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(server_directory: Path) -> Iterator[RedisServer]:
    """The Redis of this run."""
    with running_redis(server_directory / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres: PostgresServer) -> str:
    """Name of a database made by the migrations, to be copied and never connected to."""
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
    """Changes are told to no Redis, unless a test says to which."""
    before = announce_through(lambda ids: None)
    yield
    announce_through(before)


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """Address of a database without tables, for the tests of the migrations."""
    name = f"empty_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def committed_database(postgres: PostgresServer, template_database: str) -> Iterator[str]:
    """Address of a migrated database of this test's own; `SessionFactory` is bound to it and really commits."""
    name = f"committed_{next(_numbers)}"
    url = postgres.create_database(name, template=template_database)
    engine = connect(url)
    yield url
    engine.dispose()
    SessionFactory.configure(bind=None)
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def module_database(postgres: PostgresServer, template_database: str) -> Iterator[str]:
    """Address of a migrated database that the tests of a module share, each with users of its own."""
    name = f"module_{next(_numbers)}"
    yield postgres.create_database(name, template=template_database)
    postgres.drop_database(name)


@pytest.fixture
def shared_database(module_database: str) -> Iterator[str]:
    """The same, with `SessionFactory` bound to it, which really commits."""
    engine = connect(module_database)
    yield module_database
    engine.dispose()
    SessionFactory.configure(bind=None)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Running]:
    """The whole stack in a directory of its own, as `make up` starts it, but with short leases."""
    directory = tmp_path_factory.mktemp("stack")
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env |= {"PORT": str(free_port(0)), "FLOWER_PORT": str(free_port(0)), "LEASE_SECONDS": "4", "HEARTBEAT_SECONDS": "1"}
    try:
        yield control.ensure_up(directory, env)
    finally:
        control.stop(directory)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Address of an empty Redis database."""
    with redis.Redis.from_url(redis_server.url()) as client:
        client.flushall()
    return redis_server.url()


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    """The engine under `session`, made by the code that makes production's."""
    engine = connect(database_url)
    SessionFactory.configure(bind=None)  # a test without `session` has no database, and says so
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session in a transaction that is rolled back; what code commits by `session_scope()` is inside it too."""
    with engine.connect() as connection, connection.begin() as everything:
        SessionFactory.configure(bind=connection, join_transaction_mode="create_savepoint")
        with SessionFactory() as session:
            yield session
        everything.rollback()
        SessionFactory.configure(bind=None, join_transaction_mode="conditional_savepoint")
