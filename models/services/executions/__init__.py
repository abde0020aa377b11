"""Executions as their owners see them: submission, reading, approval, retry, retention. Imports all other services."""
