"""Drive one execution: schedule, perform, journal, lease.

`runtime` is the facade; a task calls `Runtime.drive(execution_id)` and nothing else.
"""
