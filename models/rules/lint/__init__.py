"""The linter of graphs, and the worst case of their costs. Imports nodes and what is below them."""
