"""Schemas of administration. Imports the schemas of every other subject."""
