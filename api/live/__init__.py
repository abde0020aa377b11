"""Clients that wait for changes: long polls and event streams. Imports `api.auth` and what is below it."""
