"""Schemas of accounts and their credentials."""
