"""A stand-in for Stripe that speaks its API and sends its webhooks. No account, no money, no network.

    python -m devstack.stripe_simulator --port 12111 --key sk_test_x --webhook-url URL --webhook-secret whsec_x

What it knows is told in docs/stripe-simulator.md; what one can make happen, in `controls`.
"""

from devstack.stripe_simulator.simulator import StripeSimulator, running_stripe_simulator

__all__ = ["StripeSimulator", "running_stripe_simulator"]
