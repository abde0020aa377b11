"""Work that requests hand to workers, and the responses with its results. Imports `api.auth` and what is below it."""
