"""A shop on the simulated Stripe, its fixtures, and corruptions of its books."""
