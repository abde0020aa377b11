"""Clients whose requests really commit."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.db import session_scope
from models.rules.prices.pricing import Tier
from tasks.queue import TaskMessage
from tests.api.conftest import token_of
from tests.support import factories
from tests.support.api.graphs import workflow


@pytest.fixture
def new_client(app: Flask, shared_database: str, redis_url: str, sent: list[TaskMessage]) -> Callable[[], FlaskClient]:
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
