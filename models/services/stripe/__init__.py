"""Purchases, subscriptions and mirrors of Stripe objects. Imports credits and operations."""
