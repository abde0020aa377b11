"""Schemas of executions and usage. Imports the schemas of workflows."""
