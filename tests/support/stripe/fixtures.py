"""One simulated Stripe for all tests of money, emptied before each."""

from collections.abc import Iterator

import pytest

from models.db import session_scope
from models.services.credits import ledger
from simulators.stripe import StripeSimulator, running_stripe_simulator
from tasks.queue import set_publisher
from tests.support.stripe.shop import Shop, stripe_sync


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[StripeSimulator]:
    with running_stripe_simulator() as simulator:
        yield simulator


@pytest.fixture
def stripe(stripe_server: StripeSimulator) -> StripeSimulator:
    """The simulated Stripe, empty."""
    stripe_server.reset()
    return stripe_server


@pytest.fixture
def shop(stripe: StripeSimulator, committed_database: str) -> Iterator[Shop]:
    """A shop; whatever a test did in it, the ledger keeps its promises."""
    before = set_publisher(lambda message: None)
    yield Shop(stripe, stripe_sync(stripe))
    set_publisher(before)
    with session_scope() as session:
        assert ledger.violations(session) == []
