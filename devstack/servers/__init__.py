"""The embedded PostgreSQL and Redis. Imports `devstack.processes`."""
