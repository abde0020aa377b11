"""Moves credits, and counts the usage that a tier's quotas limit. Imports operations."""
