"""The operator's command line, `python -m manage`. Imports the task queue and `models`, and nothing imports it.

It calls the services that the API calls, and records every change in the audit log, with the operator's name.
"""
