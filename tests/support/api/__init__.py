"""Clients of the API, its routes, and bodies to send."""
