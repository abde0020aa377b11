"""A real server in a thread of the test, with our protocol and our front around the application."""

import runpy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from flask import Flask

from api.live.change_notifier import ChangeNotifier
from api.serving.front import Front
from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.executions import executions
from models.tables import User
from tests.api.conftest import token_of
from tests.api.live import until
from tests.api.serving import Line
from tests.api.serving.poller import Poller
from tests.support import factories

ROOT = Path(__file__).parents[3]


@dataclass
class Caller:
    """A user with a run."""

    token: str
    run: str
    port: int

    def line(self) -> Line:
        """A new connection."""
        return Line(self.port, self.token)


@pytest.fixture
def server(
    app: Flask, shared_database: str, place: ChangeNotifier, told: None, sent: list[object]
) -> Iterator[uvicorn.Server]:
    """The server; its clients wait at `place`."""
    options = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))["ApiWorker"].CONFIG_KWARGS
    config = uvicorn.Config(Front(app), port=0, log_config=None, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield server
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    return server.servers[0].sockets[0].getsockname()[1]


@pytest.fixture
def new_caller(app: Flask, port: int) -> Callable[[], Caller]:
    """Makes users, each with a run."""

    def make() -> Caller:
        with session_scope() as session:
            user = factories.user(session, tier=Tier.ENTERPRISE)
            flow = factories.workflow(session, user)
            run = executions.submit(session, user, flow.id)
        return Caller(token_of(app, session_user(user)), str(run.id), port)

    return make


def session_user(user: User) -> User:
    """The user as another session sees it."""
    with session_scope() as session:
        return session.get_one(User, user.id)


@pytest.fixture
def caller(new_caller: Callable[[], Caller]) -> Caller:
    return new_caller()


@pytest.fixture
def new_poller(app: Flask, shared_database: str, redis_url: str, sent: list[object]) -> Callable[..., Poller]:
    return lambda tier=Tier.FREE: Poller(app, tier)


@pytest.fixture
def poller(new_poller: Callable[[], Poller]) -> Poller:
    return new_poller()
