"""One simulated Stripe for all tests, emptied before each, and a database of its own for every test."""

from collections.abc import Iterator

import pytest

from devstack.stripe_simulator import StripeSimulator, running_stripe_simulator
from models.db import session_scope
from models.services import credits
from tasks.queue import publish_through
from tests.billing.shop import Shop, follower


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[StripeSimulator]:
    with running_stripe_simulator() as simulator:
        yield simulator


@pytest.fixture
def stripe(stripe_server: StripeSimulator) -> StripeSimulator:
    """Stripe, knowing nobody."""
    stripe_server.reset()
    return stripe_server


@pytest.fixture
def shop(stripe: StripeSimulator, committed_database: str) -> Iterator[Shop]:
    """A shop; whatever a test did in it, the ledger keeps its promises."""
    before = publish_through(lambda doorbell: None)
    yield Shop(stripe, follower(stripe))
    publish_through(before)
    with session_scope() as session:
        assert credits.violations(session) == []
