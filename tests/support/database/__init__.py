"""Recorded, concurrent and slow database access."""
