"""Notifications of users, and the receipts of pushes. Imports `rows` at most."""
