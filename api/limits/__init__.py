"""Rate limits and concurrency limits of requests, by address, user and work. Imports `api.http`."""
