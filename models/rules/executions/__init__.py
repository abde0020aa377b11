"""Rules by which executions advance, wait, end and are retried. Imports nodes and what is below them, no lint."""
