"""A shop whose webhooks never arrive, for every test of reconciliation."""

from tests.support.stripe.books import books, stripe, stripe_server

__all__ = ["books", "stripe", "stripe_server"]
