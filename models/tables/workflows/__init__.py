"""Workflows, their versions, and the gallery of templates."""
