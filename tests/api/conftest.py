"""The application with its routes, a user and another one, and the task messages it would have published."""

from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from api import create_app
from api.auth import tokens
from api.live import change_notifier
from api.live.change_notifier import ChangeNotifier
from api.ops.metrics import exposition
from models.changes import set_change_publisher
from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.accounts import passwords, sessions
from models.services.accounts.sessions import AccessToken
from models.services.credits import ledger
from models.tables import Role, User
from settings import Settings
from simulators.stripe import StripeSimulator, running_stripe_simulator
from tasks.change_publisher import RedisChangePublisher
from tasks.queue import TaskMessage, TaskName, set_publisher
from tests.support.api.contract import CheckedClient, Contract
from workers.gateways.stripe.gateway import StripeGateway
from workers.stripe import events as billing_events
from workers.stripe import requests as billing_requests
from workers.stripe.sync import StripeSync

ORIGIN = "https://app.agentforge.example"
SignIn = Callable[[User], FlaskClient]


@pytest.fixture(scope="session")
def settings(database_url: str, redis_server) -> Settings:
    """The settings of the application under test."""
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
    """The logged events."""
    with structlog.testing.capture_logs() as events:
        yield events


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing is meant to be slow; here it is not what is tested."""
    monkeypatch.setattr(passwords, "BCRYPT_ROUNDS", 4)


def token_of(app: Flask, user: User) -> str:
    """A token of a new session of this user's."""
    with session_scope() as session:
        started = sessions.start(session, user, user_agent="Tests", address="127.0.0.1")
    with app.app_context():
        return tokens.write(AccessToken(user.id, started.id, started.generation))


@pytest.fixture
def stranger(app: Flask, session: Session, redis_url: str, sent: list[TaskMessage]) -> FlaskClient:
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
    """A factory of users with a wallet; `tier`, `role` and `balance` as given."""

    def make(email: str, *, tier: Tier = Tier.FREE, role: Role = Role.USER, balance: Decimal = Decimal(10)) -> User:
        user = User(email=email, name="Somebody", password_hash="none", subscription_tier=tier, role=role)
        user.email_verified_at = datetime.now(UTC)
        session.add(user)
        session.flush()
        ledger.open_wallet(session, user.id)
        if balance:
            ledger.grant(session, user.id, balance, key=f"test:{user.id}", reason="For a test", source="test")
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
    """A private Stripe simulator; its events are listed but not sent."""
    with running_stripe_simulator() as simulator:
        yield simulator


@pytest.fixture
def stripe(simulator: StripeSimulator, settings: Settings, sent: list[TaskMessage]) -> Iterator[StripeSimulator]:
    """An empty Stripe, and a worker that handles each message at once."""
    simulator.reset()
    stripe_sync = StripeSync(StripeGateway(simulator.secret_key, simulator.url), settings.stripe.tiers)

    def work(message: TaskMessage) -> None:
        sent.append(message)
        if message.task is TaskName.STRIPE_REQUEST:
            billing_requests.perform(stripe_sync, UUID(str(message.ids["request_id"])))
        elif message.task is TaskName.HANDLE_STRIPE_EVENT:
            billing_events.handle(stripe_sync, str(message.ids["event_id"]))

    before = set_publisher(work)
    yield simulator
    set_publisher(before)


@pytest.fixture
def told(redis_url: str) -> Iterator[None]:
    """Publish changes over Redis."""
    before = set_change_publisher(RedisChangePublisher(redis_url))
    yield
    set_change_publisher(before)


@pytest.fixture
def place(app: Flask, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChangeNotifier]:
    """A notifier of this test's own, which receives changes, and polls too seldom to matter."""
    monkeypatch.setattr(change_notifier, "POLL_SECONDS", 60.0)
    place = ChangeNotifier(redis_url, max_subscriptions=8, max_per_user=3)
    monkeypatch.setitem(app.extensions, "change_notifier", place)
    yield place
    place.close()


@pytest.fixture
def metrics(app: Flask) -> Callable[[], str]:
    """The metrics of this application as Prometheus reads them."""
    return lambda: exposition(app.extensions["broker"], "").decode()
