"""`make soak`: thousands of payments, refunds and executions under faults."""
