"""The engine that drives executions, and the gateways to the outside."""
