"""Rows of reconciliation runs and findings, and the comparisons with Stripe. Imports stripe and below."""
