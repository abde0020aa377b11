"""Routes of executions and usage."""
