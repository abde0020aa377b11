"""Faults of every kind against real processes; `docs/faults.md` says which test keeps which promise."""
