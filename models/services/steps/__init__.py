"""The steps of runs: their data, read back from the records, and expressions over it. Imports `executions`."""
