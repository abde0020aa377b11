"""Lists come from standbys, and whoever wrote sees what they wrote, however far a standby is behind."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import text

from api import create_app
from api.auth.authenticate import AuthenticatedCaller
from api.http.session import db, on_replica
from devstack.servers.postgres import PostgresServer
from models import replicas
from models.db import SessionFactory, connect, session_scope
from models.rules.prices.pricing import Tier
from models.tables import User
from settings import Settings
from tests.api.conftest import token_of
from tests.support import factories
from tests.support.servers.standby import StandbyServer

ROOT = Path(__file__).parents[3]


@dataclass
class Servers:
    """A primary with a migrated database, and its standbys."""

    primary: PostgresServer
    near: StandbyServer
    far: StandbyServer

    @property
    def standbys(self) -> tuple[StandbyServer, StandbyServer]:
        return self.near, self.far


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("replicated")
    with PostgresServer(folder / "primary", durable=False) as primary:
        env = {"PATH": "/usr/bin:/bin", "DATABASE_URL": primary.create_database("app"), "AGENTFORGE_ENV": "test"}
        done = subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"], cwd=ROOT, env=env, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        with StandbyServer(folder / "near", primary) as near, StandbyServer(folder / "far", primary) as far:
            yield Servers(primary, near, far)


@pytest.fixture
def app(servers: Servers, redis_server) -> Iterator[Flask]:
    """The application with both standbys; they have caught up."""
    app = create_app(
        Settings.from_env(
            {
                "AGENTFORGE_ENV": "test",
                "DATABASE_URL": servers.primary.url("app"),
                "DATABASE_REPLICA_URLS": ",".join(one.url("app") for one in servers.standbys),
                "REDIS_URL": redis_server.url(),
            }
        )
    )
    before = SessionFactory.kw["bind"]
    engine = connect(servers.primary.url("app"))
    yield app
    for standby in servers.standbys:
        with suppress(psycopg2.Error):  # the last test loses them
            standby.resume()
    app.extensions["replicas"].close()
    engine.dispose()
    SessionFactory.configure(bind=before)


@pytest.fixture
def owner(app: Flask) -> User:
    with session_scope() as session:
        return factories.user(session, tier=Tier.PREMIUM)


@pytest.fixture
def client(app: Flask, owner: User) -> FlaskClient:
    return signed_in(app, owner)


def signed_in(app: Flask, user: User) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(app, user)}"
    return client


def catch_up(*standbys: StandbyServer, primary: PostgresServer) -> None:
    with session_scope() as session:
        position = session.scalar(text("SELECT pg_current_wal_insert_lsn()::text"))
    for standby in standbys:
        while not _has_replayed(standby, position):
            time.sleep(0.02)


def _has_replayed(standby: StandbyServer, position: str) -> bool:
    with _session(standby) as session:
        return bool(session.scalar(text(f"SELECT pg_last_wal_replay_lsn() >= '{position}'")))


@contextmanager
def _session(standby: StandbyServer):
    engine = replicas.new_engine(standby.url("app"))
    with replicas.Session(engine) as session:
        yield session
    engine.dispose()


def save(client: FlaskClient, name: str) -> None:
    body = {"name": name, "nodes": [factories.node("a", "input")], "connections": []}
    assert client.post("/api/workflows", json=body).status_code == 201


def listed(client: FlaskClient) -> list[str]:
    answer = client.get("/api/workflows")
    assert answer.status_code == 200
    return [one["name"] for one in answer.json["workflows"]]


def write_elsewhere(owner: User, name: str) -> None:
    """Write as a worker does, which no session of the owner knows of."""
    with session_scope() as session:
        factories.workflow(session, session.get_one(User, owner.id), name=name)


def test_a_list_comes_from_a_standby(servers: Servers, client: FlaskClient, owner: User) -> None:
    catch_up(*servers.standbys, primary=servers.primary)
    for standby in servers.standbys:
        standby.pause()
    write_elsewhere(owner, "Not yet there")
    assert listed(client) == []
    for standby in servers.standbys:
        standby.resume()
    catch_up(*servers.standbys, primary=servers.primary)
    assert listed(client) == ["Not yet there"]


def test_a_writer_sees_the_write_beside_a_standby_that_is_behind(servers: Servers, client: FlaskClient) -> None:
    catch_up(*servers.standbys, primary=servers.primary)
    servers.far.pause()
    save(client, "Mine")
    assert [listed(client) for _ in range(20)] == [["Mine"]] * 20


def test_a_writer_sees_the_write_when_all_standbys_are_behind(
    servers: Servers, app: Flask, client: FlaskClient, owner: User
) -> None:
    other = signed_in(app, owner)
    catch_up(*servers.standbys, primary=servers.primary)
    for standby in servers.standbys:
        standby.pause()
    save(client, "Mine")
    assert listed(client) == ["Mine"]
    assert listed(other) == []  # another session of the same user wrote nothing, so it may read what is older


def test_a_standby_too_far_behind_is_not_asked(
    servers: Servers, client: FlaskClient, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up(*servers.standbys, primary=servers.primary)
    for standby in servers.standbys:
        standby.pause()
    write_elsewhere(owner, "Recent")
    monkeypatch.setattr(replicas, "MAX_LAG_SECONDS", 0.3)
    time.sleep(0.4)
    assert listed(client) == ["Recent"]


def test_what_a_standby_fails_at_is_read_from_the_primary(servers: Servers, app: Flask, owner: User) -> None:
    catch_up(*servers.standbys, primary=servers.primary)
    fails_on_a_standby = text("SELECT 1 / (CASE WHEN pg_is_in_recovery() THEN 0 ELSE 1 END)")
    with app.test_request_context("/api/workflows"):
        g.caller = AuthenticatedCaller(owner, owner.id)
        assert on_replica(lambda: db().scalar(text("SELECT pg_is_in_recovery()"))) is True
        assert on_replica(lambda: db().scalar(fails_on_a_standby)) == 1


def test_lists_are_served_while_a_standby_is_lost_or_promoted(servers: Servers, client: FlaskClient) -> None:
    save(client, "Mine")
    servers.near.kill()
    servers.far.promote()
    assert [listed(client) for _ in range(5)] == [["Mine"]] * 5
