"""Clients whose requests really commit, and a hub that hears of changes."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api import hub
from api.hub import Hub
from models.changes import announce_through
from models.db import session_scope
from models.rules.pricing import Tier
from tasks.announcer import Announcer
from tasks.queue import Doorbell
from tests import factories
from tests.api.conftest import token_of
from tests.api.graphs import workflow


@pytest.fixture
def told(redis_url: str) -> Iterator[None]:
    """Changes are told over Redis."""
    before = announce_through(Announcer(redis_url))
    yield
    announce_through(before)


@pytest.fixture
def place(app: Flask, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of this test's own, which hears of changes, and looks by itself too seldom to matter."""
    monkeypatch.setattr(hub, "LOOK_SECONDS", 60.0)
    place = Hub(redis_url, places=8, places_each=3)
    monkeypatch.setitem(app.extensions, "hub", place)
    yield place
    place.close()


@pytest.fixture
def new_client(app: Flask, shared_database: str, redis_url: str, sent: list[Doorbell]) -> Callable[[], FlaskClient]:
    """Makes clients of users of their own, whose requests really commit."""

    def make() -> FlaskClient:
        with session_scope() as session:
            user = factories.user(session, tier=Tier.ENTERPRISE)
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(app, user)}"
        return client

    return make


@pytest.fixture
def client(new_client: Callable[[], FlaskClient]) -> FlaskClient:
    return new_client()


@pytest.fixture
def run(client: FlaskClient) -> str:
    workflow_id = client.post("/workflows", json=workflow()).json["workflow"]["id"]
    return client.post(f"/workflows/{workflow_id}/execute").json["id"]
