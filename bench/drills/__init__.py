"""Drills of what operators do: a restore after a disaster, and a deploy under load. Each prints its figures."""
