"""Drives one execution from the state in its journal. Imports attempts and the packages below it."""
