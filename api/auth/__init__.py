"""Authentication and permissions of callers. Imports `api.limits` and `api.http`."""
