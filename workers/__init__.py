"""How work is done: the engine that drives executions, and the gateways to the outside."""
