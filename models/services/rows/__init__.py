"""Rows as such: claims of work, leases by name, pages and locks. Imports no other services."""
