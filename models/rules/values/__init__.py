"""Parsing, comparison and cleaning of values from outside. Imports no other rules."""
