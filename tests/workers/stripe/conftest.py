"""One simulated Stripe and one database for all tests of money."""

from tests.support.stripe.fixtures import shop, stripe, stripe_server

__all__ = ["shop", "stripe", "stripe_server"]
