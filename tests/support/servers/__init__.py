"""Servers and programs for tests."""
