"""Parsing, comparison and cleaning of values from outside, and periods of time. Imports no other rules."""
