"""Schedules and the runs that they start."""
