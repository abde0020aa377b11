"""A deployment of real processes with hooks for faults."""
