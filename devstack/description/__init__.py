"""The committed description of the API: kept up to date, and what clients are generated from."""
