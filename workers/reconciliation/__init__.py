"""Compares Stripe's objects with our rows and repairs differences in the same way as webhooks do."""
