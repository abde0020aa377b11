"""The steps of runs: their recorded data, expressions over it, and trials of single nodes. Imports `executions`."""
