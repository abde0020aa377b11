"""Schemas of credits, purchases and subscriptions. Imports the schemas of executions."""
