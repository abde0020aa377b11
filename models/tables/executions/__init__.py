"""Executions, their nodes and events, and the receipts that remain of them."""
