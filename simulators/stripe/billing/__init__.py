"""Products, subscriptions and their invoices. Imports `payments` and `state`."""
