"""Signed events and their delivery to the receiver. Imports `state`."""
