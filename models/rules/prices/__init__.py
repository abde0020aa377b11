"""Prices, tiers, and charges of failed and stopped nodes. Imports `values` at most."""
