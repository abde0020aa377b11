"""Mirrors of Stripe objects, requests to Stripe, and events from it."""
