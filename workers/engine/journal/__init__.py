"""Gathers the records of drivers and writes them together. Imports `workers.engine.values`."""
