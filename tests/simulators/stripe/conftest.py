"""A simulator of Stripe for the tests of a module, and Stripe's own client of it."""

from collections.abc import Iterator

import pytest
from stripe import StripeClient

from simulators.stripe import StripeSimulator, running_stripe_simulator
from tests.support.stripe.stripe_calls import client_of


@pytest.fixture(scope="module")
def simulator() -> Iterator[StripeSimulator]:
    with running_stripe_simulator() as running:
        yield running


@pytest.fixture
def client(simulator: StripeSimulator) -> StripeClient:
    """A client of a simulator without a past."""
    simulator.reset()
    return client_of(simulator)
