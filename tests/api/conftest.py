"""The application with its routes, a user and another one, and the doorbells it would have rung."""

from collections.abc import Callable, Iterator, MutableMapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from api import create_app, tokens
from devstack.stripe_simulator import StripeSimulator, running_stripe_simulator
from models.db import session_scope
from models.rules.pricing import Tier
from models.services import credits, passwords, sessions
from models.user import Role, User
from settings import Settings
from tasks.queue import Doorbell, TaskName, publish_through
from tests.api.contract import CheckedClient, Contract
from workers.billing import events as billing_events
from workers.billing import requests as billing_requests
from workers.billing.subjects import Follower
from workers.gateways.stripe import StripeGateway

ORIGIN = "https://app.agentforge.example"
SignIn = Callable[[User], FlaskClient]


@pytest.fixture(scope="session")
def settings(database_url: str, redis_server) -> Settings:
    """What the application under test is built from."""
    return Settings.from_env(
        {
            "AGENTFORGE_ENV": "test",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_server.url(),
            "CORS_ORIGINS": ORIGIN,
            "JWT_SECRET": "a secret that is long enough for every algorithm that a forger may try",
        }
    )


@pytest.fixture(scope="session")
def app(settings: Settings) -> Flask:
    """The application; it keeps nothing from test to test, and its answers are held to their description."""
    app = create_app(settings)
    app.extensions["contract"] = Contract(app)
    app.test_client_class = CheckedClient
    return app


@pytest.fixture(autouse=True)
def events() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged."""
    with structlog.testing.capture_logs() as events:
        yield events


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing is meant to be slow; here it is not what is tested."""
    monkeypatch.setattr(passwords, "BCRYPT_ROUNDS", 4)


@pytest.fixture
def sent() -> Iterator[list[Doorbell]]:
    """The doorbells that were rung, in place of a broker."""
    bells: list[Doorbell] = []
    before = publish_through(bells.append)
    yield bells
    publish_through(before)


def token_of(app: Flask, user: User) -> str:
    """A token of a new session of this user's."""
    with session_scope() as session:
        started = sessions.start(session, user, user_agent="Tests", address="127.0.0.1")
    with app.app_context():
        return tokens.write(tokens.Token(user.id, started.id, started.generation))


@pytest.fixture
def stranger(app: Flask, session: Session, redis_url: str, sent: list[Doorbell]) -> FlaskClient:
    """A client without a token; every count of the limiter starts at none."""
    return app.test_client()


@pytest.fixture
def sign_in(app: Flask, stranger: FlaskClient) -> SignIn:
    """Makes a client that sends a token of the user it is given."""

    def signed(user: User) -> FlaskClient:
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(app, user)}"
        return client

    return signed


@pytest.fixture
def new_user(session: Session) -> Callable[..., User]:
    """Makes users with a wallet; `tier`, `role` and `balance` as wished."""

    def make(email: str, *, tier: Tier = Tier.FREE, role: Role = Role.USER, balance: Decimal = Decimal(10)) -> User:
        user = User(email=email, name="Somebody", password_hash="none", subscription_tier=tier, role=role)
        session.add(user)
        session.flush()
        credits.open_wallet(session, user.id)
        if balance:
            credits.grant(session, user.id, balance, key=f"test:{user.id}", reason="For a test", source="test")
        session.commit()
        return user

    return make


@pytest.fixture
def user(new_user: Callable[..., User]) -> User:
    """The one whose requests are tested."""
    return new_user("ada@example.com")


@pytest.fixture
def other(new_user: Callable[..., User]) -> User:
    """Somebody else."""
    return new_user("eve@example.com")


@pytest.fixture
def client(sign_in: SignIn, user: User) -> FlaskClient:
    """A client with a token of `user`."""
    return sign_in(user)


@pytest.fixture(scope="session")
def simulator() -> Iterator[StripeSimulator]:
    """A Stripe of these tests' own; its events are listed, and sent by nobody."""
    with running_stripe_simulator() as simulator:
        yield simulator


@pytest.fixture
def stripe(simulator: StripeSimulator, settings: Settings, sent: list[Doorbell]) -> Iterator[StripeSimulator]:
    """Stripe without a past, and a worker who does what it is rung for before the bell is silent."""
    simulator.reset()
    follower = Follower(StripeGateway(simulator.secret_key, simulator.url), settings.stripe.tiers)

    def work(bell: Doorbell) -> None:
        sent.append(bell)
        if bell.task is TaskName.STRIPE_REQUEST:
            billing_requests.perform(follower, UUID(str(bell.ids["request_id"])))
        elif bell.task is TaskName.HANDLE_STRIPE_EVENT:
            billing_events.handle(follower, str(bell.ids["event_id"]))

    before = publish_through(work)
    yield simulator
    publish_through(before)
