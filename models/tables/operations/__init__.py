"""Workers, notifications, named leases, and other tables for running the service."""
