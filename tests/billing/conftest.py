"""One simulated Stripe and one database for all tests of money, both emptied before each."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from devstack.postgres import PostgresServer
from devstack.stripe_simulator import StripeSimulator, running_stripe_simulator
from models.db import SessionFactory, connect, session_scope
from models.services import credits
from tasks.queue import publish_through
from tests.billing.shop import Shop, follower

TABLES = """
    SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables
     WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[StripeSimulator]:
    with running_stripe_simulator() as simulator:
        yield simulator


@pytest.fixture
def stripe(stripe_server: StripeSimulator) -> StripeSimulator:
    """Stripe, knowing nobody."""
    stripe_server.reset()
    return stripe_server


@pytest.fixture(scope="session")
def shop_engine(postgres: PostgresServer, template_database: str) -> Iterator[Engine]:
    """A database of this folder's own, which really commits."""
    engine = connect(postgres.create_database("shop", template=template_database))
    SessionFactory.configure(bind=None)
    yield engine
    engine.dispose()


@pytest.fixture
def shop_database(shop_engine: Engine) -> Iterator[str]:
    """The address of an empty database, to which `SessionFactory` is bound."""
    with shop_engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # the ledger refuses to be emptied
        connection.execute(text(f"TRUNCATE {connection.scalar(text(TABLES))}"))
    SessionFactory.configure(bind=shop_engine)
    yield shop_engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    SessionFactory.configure(bind=None)


@pytest.fixture
def shop(stripe: StripeSimulator, shop_database: str) -> Iterator[Shop]:
    """A shop; whatever a test did in it, the ledger keeps its promises."""
    before = publish_through(lambda doorbell: None)
    yield Shop(stripe, follower(stripe))
    publish_through(before)
    with session_scope() as session:
        assert credits.violations(session) == []
