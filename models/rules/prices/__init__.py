"""Prices, charges, periods, and the meaning of Stripe's objects. Imports `models.rules.values` at most."""
