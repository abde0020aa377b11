"""Stripe over HTTP, with controls for tests and operators. The top layer of this simulator."""
