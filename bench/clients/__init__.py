"""Clients that benchmarks start as programs of their own, so that they do not compute in the measuring process."""
