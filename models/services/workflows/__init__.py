"""Workflows and templates: saving, versions, limits, validation, metrics. Imports credits and operations."""
