"""Performs users' requests at Stripe and synchronises our rows with Stripe's objects. Imports gateways and services."""
