"""A simulator of Stripe's API and webhooks, without account, money or network.

    python -m simulators.stripe --port 12111 --key sk_test_x --webhook-url URL --webhook-secret whsec_x

docs/stripe-simulator.md describes its features; `controls` has the actions for tests.
"""

from simulators.stripe.server.simulator import StripeSimulator, running_stripe_simulator

__all__ = ["StripeSimulator", "running_stripe_simulator"]
