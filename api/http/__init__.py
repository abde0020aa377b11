"""Parsing of requests, writing of responses and errors, and the session. Imports `api.schemas` only."""
