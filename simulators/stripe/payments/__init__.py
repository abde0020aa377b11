"""Customers, cards, payments, refunds and disputes. Imports `state`."""
