"""Drives executions: schedules steps, performs their effects, journals results, keeps leases.

`runtime` is the facade; a task calls `Runtime.drive(execution_id)` and nothing else.
"""
