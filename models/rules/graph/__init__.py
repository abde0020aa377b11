"""The graph of a workflow as a value, and the parts of a node type. Imports expressions, prices and values."""
