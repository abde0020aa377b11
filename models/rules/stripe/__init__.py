"""The meaning of Stripe's objects, its signatures and its currencies. Imports `prices` at most."""
