"""Stripe as our flows need it, over its own library. Imports `workers.gateways.base`."""
