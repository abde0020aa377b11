"""The whole stack seen from outside, and helpers for processes."""
