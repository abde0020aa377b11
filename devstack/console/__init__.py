"""The console: its build, its checks, and journeys through it. Nothing else of devstack imports it."""
