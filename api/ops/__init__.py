"""Views of the service for operators and Prometheus. Imports `api.jobs` and what is below it."""
