"""Probes of the servers that this service needs. Imports other modules of `tasks`, and none of them imports it."""
