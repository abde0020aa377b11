"""Schemas of workflows and templates."""
