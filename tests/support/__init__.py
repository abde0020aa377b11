"""Servers and helpers for several kinds of tests."""
