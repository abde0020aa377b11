"""The node types as documents for clients: forms, ports and prices, made from the definitions that validate graphs."""
