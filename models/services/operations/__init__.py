"""What operators see and do: alerts, audit log, analytics, workers, queues and pruning. Imports `rows` at most."""
