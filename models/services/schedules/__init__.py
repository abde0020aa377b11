"""Schedules of workflows, and the runs that they start. Imports the services of runs and everything below."""
