"""Locks, paging, notifications, alerts, audit log and other helpers of all services. Imports no other services."""
